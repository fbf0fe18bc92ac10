"""A sweep that is stopped leaves nothing behind that outlives its processes, and says nothing but that."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

HOLDS_MEMORY = """
import time
from multiprocessing import shared_memory
from pathlib import Path

def run_program(argv, *, work_dir):
    memory = shared_memory.SharedMemory(create=True, size=4096)
    try:
        Path({marks!r}, memory.name).touch()
        while True:
            time.sleep(0.01)
    finally:
        memory.close()
        memory.unlink()
"""

HEARS_NOTHING = """
import os
import time
from pathlib import Path

def run_program(argv, *, work_dir):
    Path({marks!r}, str(os.getpid())).touch()
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""


def stopped(paper: Any, program: str, tmp_path: Path, number: int) -> tuple[int, str, list[str], float]:
    """Start a sweep of two workers, stop it when both are at work.  Returns: code, stderr, marks, seconds."""
    marks = tmp_path / "marks"
    marks.mkdir()
    (paper.folder / "src/fake_repro/cli.py").write_text(program.format(marks=str(marks)))
    (paper.home / "s.toml").write_text('[[profile]]\npaper = "fake"\nprofile = "quick"\n')
    words = ["sweep", str(paper.home / "s.toml"), "--jobs", "2", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "clrepro.cli", *words],
        env=paper.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up = time.monotonic() + 60
    while len(list(marks.iterdir())) < 2 and time.monotonic() < give_up:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    return process.returncode, err, [path.name for path in marks.iterdir()], time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_shared_memory_of_runs_is_freed(number: int, fake_paper: Any, tmp_path: Path) -> None:
    code, err, names, _ = stopped(fake_paper, HOLDS_MEMORY, tmp_path, number)
    assert code == 128 + number
    assert len(names) == 2
    assert "leaked" not in err
    assert "Traceback" not in err
    assert "stopped; finished runs are kept" in err
    assert not [name for name in names if Path("/dev/shm", name).exists()]


def test_a_run_that_will_not_end_is_killed(fake_paper: Any, tmp_path: Path) -> None:
    code, err, names, seconds = stopped(fake_paper, HEARS_NOTHING, tmp_path, signal.SIGINT)
    assert code == 130
    assert len(names) == 2
    assert "Traceback" not in err
    assert seconds < 30
