"""`cl-repro reproduce mer`, the real paper, killed at random points and run again: a quiet run's records.

Quick runs end before their first checkpoint is due; resuming inside a run is in test_train.py.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from clrepro.records import load_many

ROOT = Path(__file__).resolve().parents[3]
N_KILLS = 20
ROWS = "rotations/200/mer*"  # the three MER algorithms


def start(out: Path) -> "subprocess.Popen[str]":
    command = ["reproduce", "mer", "--only", ROWS, "--seeds", "1", "--jobs", "2", "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "clrepro.cli", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> float:
    """Wait for the command to end well; returns the seconds it took from now."""
    began = time.monotonic()
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return time.monotonic() - began


def kill(process: "subprocess.Popen[str]") -> bool:
    """SIGKILL the command alone; returns whether it was alive.  Its workers must end by themselves."""
    alive = process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True) if alive else []
    process.kill()
    process.communicate(timeout=60)
    assert not psutil.wait_procs(children, timeout=30)[1]
    return alive


def comparable(out: Path) -> list[dict[str, Any]]:
    records, problems = load_many(out)
    assert not problems
    return [record.comparable() for record in records]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_anywhere_and_run_again_ends_in_equal_records(tmp_path: Path) -> None:
    finish(start(tmp_path / "warm"))  # compiles, if nothing has yet: its time tells nothing
    length = finish(start(tmp_path / "straight"))
    want = comparable(tmp_path / "straight")
    assert len(want) == 3
    assert comparable(tmp_path / "warm") == want

    rng = random.Random(0)
    n_kills = n_folders = 0
    while n_kills < N_KILLS:
        out, kept, n_folders = tmp_path / f"killed{n_folders}", 0, n_folders + 1
        for _ in range(4):  # then a new folder, else the later kills find little left to do
            process = start(out)
            time.sleep(rng.uniform(0.1, 0.9) * length)
            n_kills += kill(process)
            kept, before = len(comparable(out)), kept  # no reader ever sees half a record
            assert kept >= before
            if kept == len(want):
                break
        finish(start(out))
        assert comparable(out) == want
        assert not list((out / "mer" / "quick").rglob("*.tmp"))
    assert n_folders > 2
