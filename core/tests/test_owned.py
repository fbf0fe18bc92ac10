"""Nobody's files are deleted: what no stamp of ours lists is refused in one line, before any work."""

import os
from pathlib import Path
from typing import Any

import pytest

from clrepro.errors import DataError
from clrepro.io.atomic import make_folder, remove_temporaries
from clrepro.io.checkpoint import RunDir
from clrepro.io.lock import hold_lock
from clrepro.io.paths import walk
from clrepro.records import read_record
from clrepro.sweep import expand, load_profile, prepare, run_job
from clrepro.sweep.jobs import job_folders

DATA = "fake/quick/data"


def ready(paper: Any, out: Path) -> str:
    return prepare(load_profile(paper.home, "fake", "quick"), out, lambda line: None)


def times_prepared(out: Path) -> int:
    log = out / "fake/quick/prepared.log"
    return len(log.read_text().split()) if log.exists() else 0


@pytest.mark.parametrize("name", ["thesis.txt", "deep/er/thesis.txt", ".hidden"])
@pytest.mark.parametrize("first", [True, False])
def test_a_foreign_file_in_the_data_is_refused(
    name: str, first: bool, fake_paper: Any, tmp_path: Path
) -> None:
    if not first:
        ready(fake_paper, tmp_path)
    thesis = tmp_path / DATA / name
    thesis.parent.mkdir(parents=True, exist_ok=True)
    thesis.write_text("years of work")
    with pytest.raises(DataError, match=thesis.name) as refused:
        ready(fake_paper, tmp_path)
    assert "\n" not in str(refused.value)
    assert thesis.read_text() == "years of work"
    assert times_prepared(tmp_path) == (not first)


@pytest.mark.parametrize("place", ["data", "data/inner", "data/numbers.npy"])
def test_a_link_in_place_of_the_data_is_refused_and_its_target_stays(
    place: str, fake_paper: Any, tmp_path: Path
) -> None:
    target = make_folder(tmp_path / "elsewhere")
    (target / "thesis.txt").write_text("years of work")
    link = tmp_path / "out/fake/quick" / place
    make_folder(link.parent)
    link.symlink_to(target / "thesis.txt" if place.endswith("npy") else target)
    with pytest.raises(DataError, match="symbolic link"):
        ready(fake_paper, tmp_path / "out")
    assert (target / "thesis.txt").read_text() == "years of work"
    assert link.is_symlink()


def test_changed_steps_replace_what_the_stamp_lists_and_a_file_added_then_is_refused(
    fake_paper: Any, tmp_path: Path
) -> None:
    before = ready(fake_paper, tmp_path)
    text = (fake_paper.folder / "profiles.toml").read_text()
    fake_paper.write_profiles(text.replace("numbers", "other"))
    assert ready(fake_paper, tmp_path) == before
    assert times_prepared(tmp_path) == 2
    (tmp_path / DATA / "mine.npy").write_bytes(b"mine")
    fake_paper.write_profiles(text)
    with pytest.raises(DataError, match=r"mine\.npy"):
        ready(fake_paper, tmp_path)
    assert sorted(path.name for path in walk(tmp_path / DATA)) == [
        ".prepared.json",
        "mine.npy",
        "numbers.npy",
    ]


def test_a_stamp_that_lists_a_place_outside_deletes_nothing_there(fake_paper: Any, tmp_path: Path) -> None:
    ready(fake_paper, tmp_path)
    outside = tmp_path / "fake/quick/keep.txt"
    outside.write_text("keep")
    for name in ("../keep.txt", str(outside)):
        (tmp_path / DATA / ".prepared.json").write_text(f'{{"steps": "", "files": {{"{name}": ""}}}}')
        ready(fake_paper, tmp_path)
        assert outside.read_text() == "keep"


def test_data_with_a_damaged_stamp_are_set_aside_whole(fake_paper: Any, tmp_path: Path) -> None:
    ready(fake_paper, tmp_path)
    (tmp_path / DATA / "mine.npy").write_bytes(b"mine")
    (tmp_path / DATA / ".prepared.json").write_text("{")
    said: list[str] = []
    prepare(load_profile(fake_paper.home, "fake", "quick"), tmp_path, said.append)
    assert (tmp_path / f"{DATA}.before-1" / "mine.npy").read_bytes() == b"mine"
    assert "data.before-1" in said[0]


def test_a_killed_preparation_is_made_again(fake_paper: Any, tmp_path: Path) -> None:
    text = (fake_paper.folder / "profiles.toml").read_text()
    fake_paper.write_profiles(text.replace('"numbers",', '"numbers", "--fail",'))
    with pytest.raises(DataError, match="no such source"):
        ready(fake_paper, tmp_path)
    (tmp_path / "fake/quick/.data-being-made/half.npy").write_bytes(b"half")
    fake_paper.write_profiles(text)
    ready(fake_paper, tmp_path)
    assert [path.name for path in walk(tmp_path / "fake/quick") if "being-made" in str(path)] == []
    assert sorted(path.name for path in walk(tmp_path / DATA)) == [".prepared.json", "numbers.npy"]


def test_a_foreign_folder_where_data_are_made_is_refused(fake_paper: Any, tmp_path: Path) -> None:
    strange = make_folder(tmp_path / "fake/quick/.data-being-made") / "thesis.txt"
    strange.write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.txt"):
        ready(fake_paper, tmp_path)
    assert strange.read_text() == "years of work"


@pytest.mark.parametrize(
    "place", ["work", "artefacts", "work/walk__6/short", "artefacts/walk__6/short/seed0"]
)
def test_a_job_goes_through_no_link(place: str, fake_paper: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = expand(load_profile(fake_paper.home, "fake", "quick"), data_sha256=ready(fake_paper, out))[0]
    target = make_folder(tmp_path / "elsewhere/walk__6/short/seed0")
    (target / "thesis.txt").write_text("years of work")
    link = out / "fake/quick" / place
    make_folder(link.parent)
    depth = len(Path(place).parts) - 1
    link.symlink_to([tmp_path / "elsewhere", None, tmp_path / "elsewhere/walk__6/short", target][depth] or "")
    with pytest.raises(DataError, match="symbolic link"):
        run_job(job, out)
    assert walk(tmp_path / "elsewhere") == [target / "thesis.txt"]


def test_a_foreign_work_folder_is_refused_and_artefacts_of_other_settings_are_set_aside(
    fake_paper: Any, tmp_path: Path
) -> None:
    job = expand(load_profile(fake_paper.home, "fake", "quick"), data_sha256=ready(fake_paper, tmp_path))[0]
    artefacts = make_folder(job_folders(job, tmp_path)["artefacts"])
    (artefacts / "notes.txt").write_text("mine")
    strange = make_folder(tmp_path / "fake/quick/work/walk__6/short/seed0") / "thesis.txt"
    strange.write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.txt"):
        run_job(job, tmp_path)
    assert strange.read_text() == "years of work"
    strange.unlink()
    assert read_record(run_job(job, tmp_path)).status == "done"
    assert (artefacts.with_name("seed0.before-1") / "notes.txt").read_text() == "mine"
    assert [path.name for path in walk(artefacts)] == ["result.txt"]


def test_only_temporaries_of_our_own_are_cleared(tmp_path: Path) -> None:
    ours, theirs = tmp_path / ".a.txt.0011aabb.tmp", tmp_path / ".notes.tmp"
    target = tmp_path / "target"
    for path in (ours, theirs, target):
        path.write_text("x")
    os.symlink(target, tmp_path / ".b.txt.0011aabb.tmp")
    remove_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.txt.0011aabb.tmp", ".notes.tmp", "target"]


def test_a_lock_is_not_taken_on_a_users_file_or_through_a_link(tmp_path: Path) -> None:
    for name, text in ((".lock", "my notes\n"), ("number", "12 apples\n")):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(DataError, match="no lock file"), hold_lock(path):
            pass
        assert path.read_text() == text
    (tmp_path / "link").symlink_to(tmp_path / "number")
    with pytest.raises(DataError, match="cannot be opened as a lock file"), hold_lock(tmp_path / "link"):
        pass
    for text in ("", "123\n"):
        (tmp_path / "ours").write_text(text)
        with hold_lock(tmp_path / "ours"):
            pass


def test_the_log_of_a_preparation_is_not_written_through_a_link(fake_paper: Any, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    (make_folder(tmp_path / "fake/quick") / "prepare.log").symlink_to(thesis)
    with pytest.raises(DataError, match=r"prepare\.log"):
        ready(fake_paper, tmp_path)
    assert thesis.read_text() == "years of work"


def test_a_checkpoint_folder_is_left_with_a_users_file(tmp_path: Path) -> None:
    folder = RunDir(tmp_path / "run")
    with folder.lock():
        for _ in range(2):
            folder.save_state("walk", {"x": 1})
        (folder.path / "notes.txt").write_text("mine")
        folder.discard("walk")
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]
    (folder.path / "notes.txt").unlink()
    with folder.lock():
        folder.save_state("walk", {"x": 1})
        folder.discard("walk")
    assert not folder.path.exists()
