"""Records packed into one file: the same runs come out, a diff names the run, nothing is lost on the way."""

import math
from pathlib import Path
from typing import Any

import pytest

from clrepro.cli import main
from clrepro.errors import DataError
from clrepro.packed import Count, pack, unpack
from clrepro.records import PACKED, RunRecord, load_many, read_packed

ROOT = Path(__file__).resolve().parents[2]


def make(seed: int = 0, method: str = "online", **changes: Any) -> RunRecord:
    body: dict[str, Any] = {
        "paper": "mer", "profile": "full", "setting": "rotations/200", "method": method, "seed": seed,
        "command": ["main.py", "--seed", str(seed)], "settings": {"lr": 0.03, "b": 1, "a": [None, "é\u2028"]},
        "settings_hash": "ab12", "metrics": {"RA": 0.5 + seed / 100, "FWT": math.nan},
        "series": {"R": [[0.5, math.nan], [math.inf, 0.25]]}, "cost": {"wall_s": 1.0},
    }  # fmt: skip
    return RunRecord(**{**body, **changes})


def store(folder: Path, *records: RunRecord) -> Path:
    """A profile's folder with a file per record, as a sweep writes it."""
    for record in records:
        path = folder / Path(*record.path(Path(".")).parts[2:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.to_json())
    return folder


def texts(folder: Path) -> list[str]:
    records, problems = load_many(folder)
    assert problems == []
    return sorted(record.to_json() for record in records)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / "papers" / "mer" / "results" / "full"


def test_packed_records_are_the_same_and_come_back_as_the_same_files(profile: Path, tmp_path: Path) -> None:
    store(profile, *(make(seed, method) for seed in (10, 2, 0) for method in ("online", "ewc")))
    before = texts(profile)
    files = {str(path.relative_to(profile)): path.read_bytes() for path in profile.rglob("*.json")}
    assert pack(profile) == Count(new=6, replaced=0, total=6, failed=0)
    assert [path.name for path in profile.iterdir()] == [PACKED]
    assert texts(profile) == before
    out = tmp_path / "results"
    assert unpack(profile, out) == (6, 0)
    made = out / "mer" / "full"
    assert {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*.json")} == files


def test_lines_are_sorted_and_begin_with_the_run(profile: Path) -> None:
    store(profile, *(make(seed, method) for seed in (10, 2) for method in ("online", "ewc")))
    pack(profile)
    lines = (profile / PACKED).read_text().splitlines()
    runs = [("ewc", 2), ("ewc", 10), ("online", 2), ("online", 10)]
    begins = [f'{{"setting":"rotations/200","method":"{method}","seed":{seed},' for method, seed in runs]
    assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=True)] == begins


def test_packing_merges_and_changes_the_lines_of_changed_runs_alone(profile: Path, tmp_path: Path) -> None:
    pack(store(profile, make(0), make(1), make(2)))
    old = (profile / PACKED).read_text().splitlines()
    branch = store(tmp_path / "branch", make(1, metrics={"RA": 0.9}), make(2), make(3))
    assert pack(profile, [branch]) == Count(new=1, replaced=1, total=4, failed=0)
    new = (profile / PACKED).read_text().splitlines()
    assert [line in old for line in new] == [True, False, True, False]
    assert len(texts(branch)) == 3  # nothing is removed there


def test_the_folder_itself_counts_before_other_sources(profile: Path, tmp_path: Path) -> None:
    store(profile, make(0, metrics={"RA": 0.1}))
    pack(profile, [store(tmp_path / "a", make(0, metrics={"RA": 0.2})), tmp_path / "nowhere"])
    assert [record.metrics["RA"] for record in load_many(profile)[0]] == [0.1]


def test_a_failed_run_never_takes_the_place_of_a_good_one(profile: Path) -> None:
    pack(store(profile, make(0), make(1)))
    store(profile, make(0, status="failed", error="x", metrics={}), make(1))
    assert pack(profile) == Count(new=0, replaced=0, total=2, failed=1)
    assert [record.status for record in read_packed(profile / PACKED)[0]] == ["done", "done"]
    assert [path.name for path in profile.rglob("seed*.json")] == ["seed0.json"]  # left where it was


@pytest.mark.parametrize("broken", ["loose", "packed", "another profile", "nothing"])
def test_what_cannot_be_packed_changes_nothing(broken: str, profile: Path) -> None:
    profile.mkdir(parents=True)
    if broken != "nothing":
        pack(store(profile, make(0)))
        store(profile, make(1), *([make(2, profile="quick")] if broken == "another profile" else []))
    if broken == "loose":
        path = next(profile.rglob("seed1.json"))
        path.write_text(path.read_text().replace("0.51", "0.61"))
    if broken == "packed":
        path = profile / PACKED
        path.write_text(path.read_text().replace("0.5,", "0.6,"))
    before = {path: path.read_bytes() for path in profile.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="sha256" if broken in ("loose", "packed") else "pack"):
        pack(profile)
    assert {path: path.read_bytes() for path in profile.rglob("*") if path.is_file()} == before


def test_each_bad_line_is_named_and_costs_no_other(profile: Path) -> None:
    pack(store(profile, *(make(seed) for seed in range(4))))
    path = profile / PACKED
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace("0.51", "0.61")
    path.write_text("\n".join([*lines[:3], "", lines[0], lines[3][:200]]))
    records, problems = load_many(profile)
    assert [record.seed for record in records] == [0, 1, 2][::2]
    assert [problem.removeprefix(f"{path}: ").split(":")[0] for problem in problems] == [
        f"line {number}" for number in (2, 4, 5, 6)
    ]
    assert "repeats mer/full/rotations/200/online/seed0" in problems[2]


def test_a_packed_file_that_is_no_text_is_one_problem(profile: Path) -> None:
    profile.mkdir(parents=True)
    (profile / PACKED).write_bytes(b"\xff")
    assert load_many(profile) == ([], [f"{profile / PACKED}: not a text in UTF-8"])
    (profile / PACKED).unlink()
    (profile / PACKED).mkdir()
    assert len(load_many(profile)[1]) == 1


def test_a_file_of_a_program_with_that_name_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "mer/full/artefacts").mkdir(parents=True)
    (tmp_path / "mer/full/artefacts" / PACKED).write_text("mine")
    assert load_many(tmp_path) == ([], [])


def test_unpacking_leaves_what_is_there_and_the_sweep_takes_it_as_done(
    fake_paper: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert fake_paper.cli("reproduce", "fake", "--out", str(first), "--jobs", "1").returncode == 0
    kept = fake_paper.folder / "results" / "quick"
    kept.mkdir(parents=True)
    assert main(["records", "pack", str(kept), "--from", str(first)]) == 0
    assert capsys.readouterr().out == f"{kept / PACKED}: 4 runs, 4 new, 0 replaced\n"
    assert main(["records", "unpack", str(kept), "--out", str(second)]) == 0
    done = fake_paper.cli("reproduce", "fake", "--out", str(second), "--jobs", "1")
    assert "4 runs, 4 of them done before" in done.stderr
    mine = next(second.rglob("records/*/*/seed0.json"))
    mine.write_text("a user's")
    assert main(["records", "unpack", str(kept), "--out", str(second)]) == 0
    assert "0 records written, 4 were there" in capsys.readouterr().out
    assert mine.read_text() == "a user's"


def test_nothing_to_unpack_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["records", "unpack", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / PACKED}: cannot be read (no such file)\n"


@pytest.mark.parametrize("path", sorted(ROOT.glob("papers/*/results/*/")), ids=str)
def test_the_records_of_the_repository_are_good_sorted_and_packed(path: Path) -> None:
    records, problems = load_many(path)
    assert problems == []
    assert {(record.paper, record.profile) for record in records} <= {(path.parts[-3], path.name)}
    assert not list(path.glob("records/*/*/seed*.json")), f"run: cl-repro records pack {path}"
    keys: list[tuple[str, str, int]] = [(r.setting, r.method, r.seed) for r in records]
    assert keys == sorted(keys)
