"""get_data.py: files made whole or not at all, good ones left alone, safe archives (contract 2.4)."""

import errno
import io
import tarfile
import zipfile

import numpy as np
import pytest

from clrepro.errors import DataError
from clrepro.io.lock import hold_lock
from mer_repro import get_data
from mer_repro.streams import load_tasks, save_dense


def test_get_data_makes_all_three_files_and_leaves_good_ones_alone(tmp_path, capsys):
    assert get_data.main(["all", "--source", "quick", "--out_dir", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mnist_manypermutations.pt", "mnist_permutations.pt", "mnist_rotations.pt",
    ]  # fmt: skip
    tasks = load_tasks(tmp_path / "mnist_manypermutations.pt")
    assert (tasks.n_tasks, tasks.train_size(99)) == (100, 10_000)
    stamp = (tmp_path / "mnist_rotations.pt").stat().st_mtime_ns
    assert get_data.main(["rotations", "--source", "quick", "--out_dir", str(tmp_path)]) == 0
    assert "is there already" in capsys.readouterr().out
    assert (tmp_path / "mnist_rotations.pt").stat().st_mtime_ns == stamp


def test_get_data_writes_where_it_is_called_from(tmp_path, monkeypatch):
    """Wherever the package is installed: main.py looks for data/ in the same place."""
    monkeypatch.chdir(tmp_path)
    assert get_data.main(["rotations", "--source", "quick", "--n_tasks", "2"]) == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mnist_rotations.pt"]


@pytest.mark.parametrize("official", [True, False])
def test_a_missing_task_file_names_the_official_images_first_where_they_are(official, tmp_path, monkeypatch):
    def locate(entry):
        if not official:
            raise DataError("not here")
        return {}

    monkeypatch.setattr("mer_repro.streams.locate", locate)
    with pytest.raises(DataError) as problem:
        load_tasks(tmp_path / "mnist_rotations.pt")
    said = str(problem.value)
    assert "python get_data.py rotations --source" in said
    assert (said.index("--source raw") < said.index("--source quick")) == official
    with pytest.raises(DataError, match=r"python get_data\.py all "):
        load_tasks(tmp_path / "mine.pt")


@pytest.fixture
def permutations(tmp_path):
    """A folder with a lazy file of three permutations."""
    words = ["permutations", "--source", "quick", "--n_tasks", "3", "--out_dir", str(tmp_path)]
    assert get_data.main(words) == 0
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("--source quick --n_tasks 4", "3 tasks, not 4"),
        ("--source quick --n_tasks 3 --seed 1", "another --seed"),
        ("--source quick --n_tasks 3 --format dense", "other --format"),
        ("--source raw --n_tasks 3", "from mnist_quick, not mnist"),
    ],
)
def test_a_good_file_made_otherwise_is_replaced_by_force_only(permutations, capsys, flags, reason):
    path = permutations / "mnist_permutations.pt"
    before = path.read_bytes()
    assert get_data.main(["permutations", *flags.split(), "--out_dir", str(permutations)]) == 1
    problem = capsys.readouterr().err
    assert reason in problem
    assert len(problem.splitlines()) == 1
    assert path.read_bytes() == before


def test_force_replaces_and_auto_takes_any_images(permutations, capsys, monkeypatch):
    monkeypatch.setenv("CL_REPRO_DATA", str(permutations))
    words = ["permutations", "--n_tasks", "3", "--out_dir", str(permutations)]
    assert get_data.main([*words, "--source", "quick", "--seed", "1", "--force"]) == 0
    assert get_data.main([*words, "--seed", "1"]) == 0
    assert "is there already" in capsys.readouterr().out
    assert get_data.main([*words, "--seed", "0"]) == 1


def some_dense(folder, kind, seed, n_train):
    descriptors, maps = get_data.task_maps(kind, 2, seed)
    digits = np.random.default_rng(0).integers(0, 256, (n_train, 784)).astype(np.uint8)
    labels = np.arange(n_train) % 10
    arrays = {"x_train": digits, "y_train": labels, "x_test": digits[:20], "y_test": labels[:20]}
    save_dense(descriptors, maps, arrays, folder / "dense.pt")
    return load_tasks(folder / "dense.pt")


@pytest.mark.parametrize(
    ("kind", "reason"), [("rotations", "are others"), ("permutations", "another --seed")]
)
def test_dense_files_are_told_apart_by_what_they_show(tmp_path, kind, reason):
    tasks = some_dense(tmp_path, kind, seed=3, n_train=30)
    wanted = {"source": "auto", "dense": True, "n_tasks": 2}
    assert get_data.difference(tasks, kind, seed=3, **wanted) == ""
    assert reason in get_data.difference(tasks, kind, seed=4, **wanted)
    assert "elsewhere" in get_data.difference(tasks, kind, seed=3, **wanted | {"source": "mnist"})


def test_a_second_get_data_on_one_folder_waits_for_nobody(tmp_path, capsys):
    with hold_lock(tmp_path / ".get_data.lock"):
        assert get_data.main(["rotations", "--source", "quick", "--out_dir", str(tmp_path)]) == 1
    assert "in use by process" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.pt"))


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(permutations, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = permutations / "mnist_permutations.pt"
    before = path.read_bytes()
    monkeypatch.setattr(get_data, "save_lazy", full)
    words = ["permutations", "--source", "quick", "--n_tasks", "3", "--seed", "9", "--force"]
    assert get_data.main([*words, "--out_dir", str(permutations)]) == 1
    assert "No space left" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert [each.name for each in permutations.iterdir()] == [path.name]


def test_get_data_replaces_a_half_written_file(tmp_path):
    (tmp_path / "mnist_rotations.pt").write_bytes(b"PK\x03\x04 cut off")
    assert get_data.main(["rotations", "--source", "quick", "--out_dir", str(tmp_path)]) == 0
    assert load_tasks(tmp_path / "mnist_rotations.pt").n_tasks == 20


def test_one_seed_gives_one_file(tmp_path):
    for name in ("a", "b"):
        get_data.main(["permutations", "--source", "quick", "--out_dir", str(tmp_path / name)])
    one, other = ((tmp_path / name / "mnist_permutations.pt").read_bytes() for name in ("a", "b"))
    assert one == other
    with zipfile.ZipFile(tmp_path / "a" / "mnist_permutations.pt") as file:
        tops = {name.split("/")[0] for name in file.namelist()}
    assert tops == {".mnist_permutations.pt"}, (
        "torch writes the temporary name into the file: no process id in it"
    )


def test_missing_official_files_name_every_place(tmp_path, capsys):
    assert (
        get_data.main(["rotations", "--source", "raw", "--raw", str(tmp_path), "--out_dir", str(tmp_path)])
        == 1
    )
    assert str(tmp_path / "mnist") in capsys.readouterr().err
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("everything", "invalid choice"),
        ("", "required"),
        ("rotations --n_tasks 0", "--n_tasks 1 or more"),
        ("rotations --n_tasks some", "invalid int"),
        ("rotations --seed -1", "--seed must be 0 or more"),
        ("rotations --source quick --raw .", "--raw names the official files"),
        ("all --convert old.pt", "say which"),
    ],
)
def test_wrong_flags_of_get_data_are_one_line_and_code_2(capsys, flags, message):
    assert get_data.main(flags.split()) == 2
    problem = capsys.readouterr().err
    assert message in problem
    assert len(problem.splitlines()) == 1


def archive(path, name, content=b"x", kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.size = kind, len(content)
        member.linkname = "/etc/passwd"
        tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "name", ["../mnist_rotations.pt", "/tmp/mnist_rotations.pt", "a/../../mnist_rotations.pt"]
)
def test_archives_that_lead_outside_are_refused(tmp_path, name):
    archive(tmp_path / "a.tar.gz", name)
    with pytest.raises(DataError, match="outside the folder"):
        get_data.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not (tmp_path / "mnist_rotations.pt").exists()


def test_archives_with_links_are_refused(tmp_path):
    archive(tmp_path / "a.tar.gz", "mnist_rotations.pt", b"", tarfile.SYMTYPE)
    with pytest.raises(DataError, match="outside the folder"):
        get_data.unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_good_archive_is_unpacked(task_files, tmp_path):
    content = (task_files / "dense.pt").read_bytes()
    archive(tmp_path / "a.tar.gz", "data/mnist_rotations.pt", content)
    words = ["rotations", "--archive", str(tmp_path / "a.tar.gz"), "--out_dir", str(tmp_path / "out")]
    assert get_data.main(words) == 0
    assert (tmp_path / "out" / "mnist_rotations.pt").read_bytes() == content
    assert get_data.main(["permutations", *words[1:]]) == 1


@pytest.mark.parametrize("content", [b"", b"content", b"PK\x03\x04 cut off"])
def test_a_damaged_file_in_an_archive_is_not_put_in_place(tmp_path, content):
    archive(tmp_path / "a.tar.gz", "data/mnist_rotations.pt", content)
    with pytest.raises(DataError, match="not a readable task file"):
        get_data.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
