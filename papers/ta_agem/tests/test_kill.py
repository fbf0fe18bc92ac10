"""`cl-repro reproduce ta_agem`, killed in the middle of a run and started again: a quiet run's record."""

import os
import signal
import subprocess
import sys
import time

import pytest

from clrepro.records import load_many

# Quick runs end before their first checkpoint is due; here every epoch leaves one.
PROGRAM = """
from clrepro.cli import main
if __name__ == "__main__":
    raise SystemExit(main())
import ta_agem_repro.train  # in a worker, which imports this file under another name
ta_agem_repro.train.CHECKPOINT_EVERY = 0.0
"""
ROW = "digits/class_split/ta-agem-mean"
CHECKPOINTS = "ta_agem/quick/work/**/epoch.state*"


@pytest.fixture
def start(tmp_path):
    (tmp_path / "often.py").write_text(PROGRAM)

    def run(out):
        words = ["reproduce", "ta_agem", "--only", ROW, "--seeds", "1", "--jobs", "2", "--out", str(out)]
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "often.py"), *words], env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    return run


def finish(process):
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr


def comparable(out):
    records, problems = load_many(out)
    assert not problems
    return [record.comparable() for record in records]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_in_mid_run_and_started_again_it_ends_in_the_same_record(start, tmp_path):
    finish(start(tmp_path / "straight"))
    out = tmp_path / "killed"
    for kills in range(3):
        process, give_up = start(out), time.monotonic() + 60
        seen = {path.stat().st_mtime_ns for path in out.glob(CHECKPOINTS)}
        while not {path.stat().st_mtime_ns for path in out.glob(CHECKPOINTS)} - seen:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < give_up
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert comparable(out) == [], kills
    finish(start(out))
    assert comparable(out) == comparable(tmp_path / "straight")
    assert len(comparable(out)) == 1
    assert not list(out.glob(CHECKPOINTS))
