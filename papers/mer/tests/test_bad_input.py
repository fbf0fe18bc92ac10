"""Bad input as a user meets it: programs started from the paper's folder end in one `error:` line and a code.

Code 2 is for a wrong command line, 1 for everything else; what was complete before stays.  Tests run as root
in some places, so a read-only folder is one that takes no file from root either: /proc, /sys, a file.
"""

import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clrepro.io.lock import hold_lock
from clrepro.records import load_many, read_record

PAPER = Path(__file__).resolve().parents[1]
QUICK = ["--model", "online", "--n_hiddens", "8", "--samples_per_task", "5"]
ROW, OTHER = "permutations/independent", "rotations/independent"  # the two fastest rows of the quick profile


def call(*words, file_limit=None, stdout=subprocess.PIPE, **environment):
    """Run a program of the paper.  Args: file_limit — bytes after which the kernel refuses more, as a full
    disk does.
    """

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=PAPER, stdout=stdout, stderr=subprocess.PIPE, text=True,
        timeout=120, preexec_fn=None if file_limit is None else limit,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CL_REPRO_DATA": "", **environment},
    )  # fmt: skip


def refused(done, code, *said):
    """Assert that a program printed one line of error that names `said`, and nothing else."""
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert not done.stdout
    for words in said:
        assert str(words) in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--model resnet", "--model resnet: not a learner; one of online"),
        ("--model gem", "--n_memories 0: gem"),
        ("--model gem --n_memories -1", "--n_memories -1"),
        ("--model online --n_hiddens -100", "--n_hiddens -100"),
        ("--model online --n_hiddens 99999999999", "--n_hiddens 99999999999: must be from 1 to below"),
        ("--model online --n_layers -1", "--n_layers -1"),
        ("--model online --n_layers 1000000000", "--n_layers 1000000000: must be from -1 to below"),
        ("--model online --batch_size 0", "--batch_size 0"),
        ("--model eralg4 --memories -5", "--memories -5"),
        ("--model eralg4 --replay_batch_size -1", "--replay_batch_size -1"),
        ("--model eralg4 --replay_batch_size 1e300", "--replay_batch_size 1e+300"),
        ("--model meralg1 --batches_per_example inf", "--batches_per_example: 'inf' is not a finite"),
        ("--model online --n_epochs ten", "--n_epochs: 'ten' is not an integer"),
        ("--model online --lr nan", "--lr: 'nan' is not a finite"),
        ("--model online --momentum 1", "--momentum"),
    ],
)
def test_a_wrong_command_line_of_main_is_code_2(flags, said, tmp_path):
    refused(call("main.py", *flags.split(), "--save_path", tmp_path / "r"), 2, said)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [("cifar", "invalid choice: 'cifar'"), ("rotations --n_tasks -2", "--n_tasks 1 or more")],
)
def test_a_wrong_command_line_of_get_data_is_code_2(flags, said, tmp_path):
    refused(call("get_data.py", *flags.split(), "--out_dir", tmp_path / "d"), 2, said)
    assert not (tmp_path / "d").exists()


def damaged(kind, whole):
    """The bytes of a task file gone wrong."""
    return {
        "cut": whole[: len(whole) // 2],
        "bad magic": b"NO" + whole[2:],
        "pickle": pickle.dumps([[["task", [0.0], [1]]], [["task", [0.0], [1]]]]),
        "json": b'{"tasks": []}',
        "folder": None,
    }[kind]


@pytest.mark.parametrize("kind", ["cut", "bad magic", "pickle", "json", "folder"])
def test_a_task_file_that_is_none(kind, task_files, tmp_path):
    path = tmp_path / "tasks.pt"
    if kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(damaged(kind, (task_files / "lazy.pt").read_bytes()))
    where = ["--data_path", tmp_path, "--data_file", path.name, "--save_path", tmp_path / "r"]
    reason = "is a folder, expected a regular file" if kind == "folder" else "not a readable task file"
    refused(call("main.py", *QUICK, *where), 1, path, reason, "get_data.py")
    assert not list((tmp_path / "r").iterdir())


OFFICIAL = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


@pytest.mark.parametrize(
    ("ending", "content", "said"),
    [
        (".gz", b"not what was published", "sha256"),
        (".gz", b"", "sha256"),
        ("", b"\0\0\x09\x03 wrong type", "train-images-idx3-ubyte"),
        ("", b"\0\0\x08\x03" + b"\0\0\0\x05" * 3 + b"short", "train-images-idx3-ubyte"),
        ("", b"\0\0\x08\x03" + b"\xff\xff\xff\xff" * 3, "train-images-idx3-ubyte"),
        ("", b"", "train-images-idx3-ubyte"),
        (None, b"", "looked in"),
    ],
)
def test_official_images_that_are_missing_or_damaged(ending, content, said, tmp_path):
    """Wrong checksum, wrong magic number, too short, of negative size, empty, not there."""
    for name in [] if ending is None else OFFICIAL:
        (tmp_path / (name + ending)).write_bytes(content)
    words = ["rotations", "--source", "raw", "--raw", tmp_path, "--out_dir", tmp_path / "d"]
    refused(call("get_data.py", *words), 1, tmp_path, said)
    assert not list((tmp_path / "d").iterdir())


@pytest.mark.parametrize("place", ["/proc/results", "/sys", "{file}", "{file}/deeper", "{long}"])
def test_a_folder_that_takes_no_file(place, task_files, tmp_path):
    (tmp_path / "file").write_text("kept")
    place = place.format(file=tmp_path / "file", long=tmp_path / ("a" * 300))
    where = ["--data_path", task_files, "--data_file", "lazy.pt"]
    refused(call("main.py", *QUICK, *where, "--save_path", place), 1, place, "choose another --save_path")
    refused(call("get_data.py", "rotations", "--source", "quick", "--out_dir", place), 1, place)
    refused(
        call("main.py", *QUICK, *where, "--save_path", tmp_path / "r", "--checkpoint_dir", place), 1, place
    )
    assert (tmp_path / "file").read_text() == "kept"
    assert not list((tmp_path / "r").iterdir())


@pytest.mark.slow
def test_a_full_disk_leaves_no_part_of_a_result_and_no_earlier_one_is_lost(task_files, tmp_path):
    words = [*QUICK, "--data_path", task_files, "--data_file", "lazy.pt", "--save_path", tmp_path]
    assert call("main.py", *words).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    refused(call("main.py", *words, file_limit=2000), 1, tmp_path, ".pt: cannot be written (File too large)")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_leaves_the_task_file_that_was_there(task_files, tmp_path):
    words = ["get_data.py", "rotations", "--source", "quick", "--n_tasks", "2", "--out_dir", tmp_path]
    path = tmp_path / "mnist_rotations.pt"
    shutil.copy(task_files / "lazy.pt", path)
    refused(call(*words, "--force", file_limit=100_000), 1, path, "cannot be written; is the disk full?")
    assert path.read_bytes() == (task_files / "lazy.pt").read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("program", ["main.py", "get_data.py"])
def test_an_output_that_takes_no_line(program, task_files, tmp_path):
    """The result files are whole by then and stay; Python itself would complain a second time as it ends."""
    if program == "main.py":
        words = [*QUICK, "--data_path", task_files, "--data_file", "lazy.pt", "--save_path", tmp_path]
    else:
        words = ["rotations", "--source", "quick", "--n_tasks", "1", "--out_dir", tmp_path]
    with open("/dev/full", "w") as full:
        done = call(program, *words, stdout=full, PYTHONUNBUFFERED="")
    refused(done, 1, "standard output: cannot be written (No space left on device)")
    assert len(list(tmp_path.iterdir())) == (3 if program == "main.py" else 1)


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_sizes_that_no_memory_holds(engine, task_files, tmp_path):
    sizes = ["--model", "eralg4", "--memories", "2147483647", "--engine", engine]
    where = ["--data_path", task_files, "--data_file", "lazy.pt", "--save_path", tmp_path]
    refused(call("main.py", *sizes, *where), 1, "not enough memory", "smaller sizes")


@pytest.mark.slow
def test_checkpoints_that_are_damaged_or_no_checkpoints(task_files, tmp_path):
    """Both kept ones damaged: the run must not begin again unasked, nor read a pickle."""
    words = [*QUICK, "--data_path", task_files, "--data_file", "lazy.pt", "--save_path", tmp_path / "r",
             "--checkpoint_dir", tmp_path / "c"]  # fmt: skip
    assert call("main.py", *words, file_limit=2000).returncode == 1  # the full disk leaves the run's folder
    (folder,) = (tmp_path / "c").iterdir()
    (folder / "checkpoint.state").write_bytes(pickle.dumps({"place": 1}))
    (folder / "checkpoint.state.prev").write_bytes(b"")
    refused(call("main.py", *words), 1, folder, "start afresh")
    with hold_lock(folder / ".lock"):
        refused(call("main.py", *words), 1, f"in use by process {os.getpid()}")
    for path in folder.glob("checkpoint.state*"):
        path.unlink()
    (folder / "results.json").write_bytes(pickle.dumps({"name": "../elsewhere"}))
    assert call("main.py", *words).returncode == 0
    assert len(list((tmp_path / "r").iterdir())) == 3


# --- cl-repro reproduce mer ---


def reproduce(out, only, **options):
    words = ["-m", "clrepro.cli", "reproduce", "mer", "--only", only, "--seeds", "1", "--jobs", "1"]
    return call(*words, "--out", out, **options)


def failed(done, *said):
    """Assert that a sweep, which also tells of its progress, ended with 1 and a line that names `said`."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = [each for each in done.stderr.splitlines() if each.startswith(("error: ", "failed: "))]
    assert any(all(str(words) in line for words in said) for line in lines), done.stderr
    assert len({line.partition(":")[0] for line in lines}) == len(lines)  # one of each kind at most


def records(out):
    found, problems = load_many(out)
    assert not problems
    return {record.key: record.comparable() for record in found}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with one finished run."""
    out = tmp_path_factory.mktemp("finished")
    done = reproduce(out, ROW)
    assert done.returncode == 0, done.stderr
    assert list(records(out)) == [f"{ROW}/seed0"]
    return out


@pytest.fixture
def out(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["half", "pickle", "folder"])
def test_a_record_that_is_none_is_named_and_made_again(kind, out):
    want = records(out)
    (path,) = out.rglob("seed0.json")
    text = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
        done = reproduce(out, ROW)
        failed(done, path, "cannot be written (Is a directory)")
        return
    path.write_bytes(
        {"half": text[: len(text) // 2], "empty": b"", "pickle": pickle.dumps(json.loads(text))}[kind]
    )
    done = reproduce(out, ROW)
    assert done.returncode == 0, done.stderr
    (line,) = [each for each in done.stderr.splitlines() if str(path) in each]
    assert line.startswith(f"made again: {path}: not ")
    assert records(out) == want
    texts = (out / "mer/quick/artefacts").rglob("*.txt")  # results may be a user's by now: they are set aside
    assert sorted(text.parent.name for text in texts) == ["seed0", "seed0.before-1"]


@pytest.mark.slow
def test_a_second_sweep_on_the_folder_is_refused(out):
    with hold_lock(out / "mer/quick/.lock"):
        refused(reproduce(out, OTHER), 1, out, f"in use by process {os.getpid()}")
    assert len(records(out)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/proc/results", "/sys", "{out}/report.html", "{out}/report.html/deeper"])
def test_a_place_where_no_sweep_can_write(place, out):
    want = records(out)
    refused(reproduce(place.format(out=out), OTHER), 1, place.format(out=out))
    assert records(out) == want


@pytest.mark.slow
def test_a_sweep_on_a_full_disk_keeps_what_is_done_and_goes_on_later(out):
    want = records(out)
    failed(reproduce(out, OTHER, file_limit=300), f"{OTHER}/seed0", "cannot be written (File too large)")
    assert want == records(out)
    assert not list((out / "mer").rglob("*.tmp"))
    assert reproduce(out, OTHER).returncode == 0
    assert records(out).items() >= want.items()
    assert len(records(out)) == 2


@pytest.mark.slow
def test_a_full_disk_while_data_is_prepared(tmp_path):
    done = reproduce(tmp_path, ROW, file_limit=100_000)
    failed(done, "get_data.py", "is the disk full?", "prepare.log")
    assert records(tmp_path) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cut", "bad magic", "pickle"])
def test_prepared_data_that_changed_is_made_again(kind, out):
    want = records(out)
    path = out / "mer/quick/data/mnist_permutations.pt"
    whole = path.read_bytes()
    path.write_bytes(damaged(kind, whole))
    done = reproduce(out, ROW)
    assert done.returncode == 0, done.stderr
    assert "preparing mer quick" in done.stderr
    assert "1 of them done before" in done.stderr
    assert path.read_bytes() == whole
    assert records(out) == want


@pytest.mark.slow
def test_a_table_that_cannot_be_printed_is_one_line(out):
    with open("/dev/full", "w") as full:
        done = reproduce(out, ROW, stdout=full)
    failed(done, "standard output: cannot be written (No space left on device)")
    assert read_record(next(out.rglob("seed0.json"))).status == "done"
    assert "independent" in (out / "mer/quick/table.md").read_text()
