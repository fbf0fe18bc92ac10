"""`cl-repro reproduce mer`, the real paper, killed at random points and run again: a quiet run's records.

Quick runs end before their first checkpoint is due, so here the workers save at every task boundary; kills
then fall into preparing, training, saving, going on from a checkpoint, and writing results.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from clrepro.io.checkpoint import RunDir
from clrepro.records import load_many
from mer_repro.cli import parse, run_program
from mer_repro.outputs import kept_base_name, read_tuple

ROOT = Path(__file__).resolve().parents[3]
N_KILLS = 20
ROWS = "rotations*/*[4d]*"  # eralg4, with a reservoir, and independent: short, as 25 starts cost enough
PROGRAM = """
from clrepro.cli import main
if __name__ == "__main__":
    raise SystemExit(main())
import mer_repro.train  # in a worker, which imports this file under another name
mer_repro.train.CHECKPOINT_EVERY_S = 0.0
"""


@pytest.fixture
def start(tmp_path: Path) -> Any:
    """Starts the command in a process group of its own, with --out its argument."""
    (tmp_path / "often.py").write_text(PROGRAM)
    # Figures cost a second of every run and have their own tests.
    (tmp_path / "absent" / "matplotlib").mkdir(parents=True)
    (tmp_path / "absent" / "matplotlib" / "__init__.py").write_text("raise ModuleNotFoundError")
    words = ["reproduce", "mer", "--profile", "quick", "--only", ROWS, "--seeds", "1", "--jobs", "2", "--out"]

    def run(out: Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "often.py"), *words, str(out)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path / "absent")},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return run


def finish(process: "subprocess.Popen[str]", out: Path) -> None:
    """Wait for the command to end well; nothing of it may stay but its results."""
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    wait_until_gone(process.pid)
    strays = [*out.rglob("*.tmp"), *out.rglob(".try*"), *out.rglob("*.state*"), *out.rglob(".get_data.lock")]
    assert not strays


def wait_until_gone(group: int) -> None:
    """Wait until no process of the group lives; all must end by themselves (multiprocessing's tracker does so
    after its parent).
    """
    give_up = time.monotonic() + 30
    while found := members(group):
        assert time.monotonic() < give_up, found
        time.sleep(0.02)


def members(group: int) -> list[psutil.Process]:
    """The living processes of a process group."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        except ProcessLookupError:
            continue
    return found


def kill(process: "subprocess.Popen[str]", whole_group: bool) -> bool:
    """SIGKILL the command with its workers, or alone: then they must end by themselves.  Returns whether it
    was alive.
    """
    alive = process.poll() is None
    if alive:
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    wait_until_gone(process.pid)
    return alive


def comparable(out: Path) -> list[dict[str, Any]]:
    records, problems = load_many(out)
    assert not problems
    return [record.comparable() for record in records]


def results(out: Path) -> dict[str, Any]:
    """What the original's files of every run hold: one .txt, .pt and .json each, no more."""
    found = {}
    for folder in sorted((out / "mer/quick/artefacts").glob("*/*/seed*")):
        names = sorted(path.suffix for path in folder.iterdir())
        assert names == [".json", ".pt", ".txt"]
        (text,), (pt,) = folder.glob("*.txt"), folder.glob("*.pt")
        t, a, state, stats, _, _ = read_tuple(pt)
        tensors = [*state.values(), t, a, *stats]
        found[folder.parent.name] = [text.read_text(), *(tensor.numpy().tobytes() for tensor in tensors)]
    return found


def test_what_a_kill_left_half_written_is_replaced(task_files: Path, tmp_path: Path) -> None:
    """A continued run keeps the name of its files; another run, or one whose note is damaged, does not."""
    where = ["--data_path", str(task_files), "--data_file", "lazy.pt", "--save_path", str(tmp_path / "r")]
    flags = ["--model", "online", "--n_hiddens", "8", "--samples_per_task", "5", *where]
    work, settings = RunDir(tmp_path / "work"), parse(flags)
    base = kept_base_name(settings, work)
    assert kept_base_name(settings, work) == base
    assert kept_base_name(settings, RunDir(tmp_path / "other")) != base != kept_base_name(settings, None)
    RunDir(tmp_path / "r").atomic_write_text(f"{base}.txt", "half")  # the text file is written first
    run_program(["main.py", *flags], work_dir=work.path)
    assert sorted(map(str, (tmp_path / "r").iterdir())) == [
        f"{base}.{name}" for name in ("json", "pt", "txt")
    ]
    assert "Final Accuracy" in Path(f"{base}.txt").read_text()
    work.atomic_write_json("results.json", {"name": "../elsewhere"})
    assert Path(kept_base_name(settings, work)).parent == tmp_path / "r"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_anywhere_and_run_again_ends_in_equal_records(start: Any, tmp_path: Path) -> None:
    began = time.monotonic()
    finish(start(tmp_path / "straight"), tmp_path / "straight")
    length = time.monotonic() - began
    want, want_files = comparable(tmp_path / "straight"), results(tmp_path / "straight")
    assert len(want) == len(want_files) == 2

    rng = random.Random(0)
    n_kills = n_folders = n_resumed = 0
    while n_kills < N_KILLS:
        out, kept, n_folders = tmp_path / f"killed{n_folders}", 0, n_folders + 1
        for _ in range(10):  # then a new folder, else the later kills find little left to do
            process = start(out)
            time.sleep(rng.uniform(0.05, 0.75) * length)
            n_kills += kill(process, whole_group=rng.random() < 0.5)
            n_resumed += len(list(out.glob("mer/quick/work/*/*/seed*/checkpoint.state*"))) > 0
            kept, before = len(comparable(out)), kept  # no reader ever sees half a record
            assert kept >= before
            if kept == len(want):
                break
        finish(start(out), out)
        assert (comparable(out), results(out)) == (want, want_files)
    assert n_folders > 1
    assert n_resumed > 2, "the kills never hit a run that had a checkpoint"
