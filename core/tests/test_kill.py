"""`cl-repro reproduce` stopped in every way at any time and run again: the records of an undisturbed run."""

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from clrepro.records import load_many

N_KILLS = 20


def start(paper: Any, out: Path, *words: str) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "clrepro.cli",
        "reproduce",
        "fake",
        "--profile",
        "slow",
        "--out",
        str(out),
    ]
    return subprocess.Popen(
        [*command, *words],
        env=paper.environment(),
        cwd=paper.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )


def hear_signals() -> None:
    """What is ignored where the tests run (under nohup, in a shell's background) would stay ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


def wait_for(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    give_up = time.monotonic() + 30
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.01)


def wait_for_workers(folder: Path, n: int, process: "subprocess.Popen[str]") -> None:
    """Until `n` workers are at work: one that is still starting could be in the middle of an import."""
    give_up = time.monotonic() + 30
    while len(list(folder.glob("fake/slow/work/s/*/seed*/walk.state"))) < n:
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.005)


def comparable(out: Path) -> list[dict[str, Any]]:
    records, problems = load_many(out)
    assert not problems
    return [record.comparable() for record in records]


@pytest.fixture
def slow(fake_paper: Any) -> Any:
    """The fake paper with a profile of four runs of about a quarter of a second each."""
    fake_paper.add_profile("slow", [("a", "--pause 0.03"), ("b", "--pause 0.03 --steps 9")], seeds="[0, 1]")
    return fake_paper


@pytest.fixture
def slower(fake_paper: Any) -> Any:
    """The same with runs of a second each: on a busy machine a signal may be long on its way."""
    fake_paper.add_profile("slow", [("a", "--pause 0.12"), ("b", "--pause 0.12 --steps 9")], seeds="[0, 1]")
    return fake_paper


def kill(paper: Any, process: "subprocess.Popen[str]") -> bool:
    """Kill `process` with SIGKILL.  Returns: whether it was still alive.  No child of it may survive."""
    alive = process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True) if alive else []
    process.kill()
    process.communicate(timeout=60)
    assert paper.all_dead(children)
    return alive


def test_killed_anywhere_and_run_again_ends_in_equal_records(slow: Any, tmp_path: Path) -> None:
    """SIGKILL at random times of the command's life: while it starts, prepares, trains and writes."""
    began = time.monotonic()
    process = start(slow, tmp_path / "straight")
    wait_for(tmp_path / "straight", "fake/slow/records/s/b/seed1.json", process)  # the last
    length = time.monotonic() - began
    code, _, stderr = finish(process)
    assert code == 0, stderr
    want = comparable(tmp_path / "straight")
    assert len(want) == 4

    rng = random.Random(0)
    n_kills = n_folders = 0
    while n_kills < N_KILLS:
        out, kept, n_folders = tmp_path / f"killed{n_folders}", 0, n_folders + 1
        for _ in range(5):  # then a new folder, else the later kills find little left to do
            process = start(slow, out)
            time.sleep(rng.uniform(0.2, 1.0) * length)
            n_kills += kill(slow, process)
            kept, before = len(comparable(out)), kept  # no reader ever sees half a record
            assert kept >= before
            if kept == len(want):
                break
        code, _, stderr = finish(start(slow, out))
        assert code == 0, stderr
        assert comparable(out) == want
        assert not list((out / "fake" / "slow").rglob("*.tmp"))
    assert n_folders > 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_promptly_and_the_rest_is_done_later(number: int, slower: Any, tmp_path: Path) -> None:
    process = start(slower, tmp_path, "--jobs", "1")
    wait_for(tmp_path, "fake/slow/records/s/*/seed*.json", process)
    children = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(number)
    code, _, stderr = finish(process)
    assert code == 128 + number
    assert time.monotonic() - began < 5
    assert stderr.rstrip().endswith("the same command goes on from here")
    assert "Traceback" not in stderr
    assert slower.all_dead(children)
    n_done = len(load_many(tmp_path)[0])
    assert 1 <= n_done < 4
    code, _, stderr = finish(start(slower, tmp_path))
    assert code == 0
    assert f"{n_done} of them done before" in stderr
    assert len(comparable(tmp_path)) == 4


def test_ctrl_c_reaches_the_whole_group_and_still_ends_quietly(slower: Any, tmp_path: Path) -> None:
    """A terminal sends SIGINT to the workers too; they leave the stopping to their parent."""
    process = start(slower, tmp_path, "--jobs", "2")
    wait_for_workers(tmp_path, 2, process)
    children = psutil.Process(process.pid).children(recursive=True)
    for member in [psutil.Process(process.pid), *children]:
        with contextlib.suppress(psutil.NoSuchProcess):  # the parent may have stopped its workers by now
            member.send_signal(signal.SIGINT)
    code, _, stderr = finish(process)
    assert code == 130
    assert "Traceback" not in stderr
    assert slower.all_dead(children)


def test_two_runs_on_one_folder(slow: Any, tmp_path: Path) -> None:
    first = start(slow, tmp_path)
    wait_for(tmp_path, "fake/slow/work/s/*/seed*/walk.state", first)
    code, stdout, stderr = finish(start(slow, tmp_path))
    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: ")
    assert f"in use by process {first.pid}" in stderr
    assert stderr.count("\n") == 1
    assert finish(first)[0] == 0
    assert len(comparable(tmp_path)) == 4


def test_corrupt_records_and_checkpoints_are_made_again(slow: Any, tmp_path: Path) -> None:
    assert finish(start(slow, tmp_path))[0] == 0
    want = comparable(tmp_path)
    paths = sorted(tmp_path.glob("fake/slow/records/s/*/seed*.json"))
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    paths[1].write_bytes(b"\x80\x04K\x01.")  # a pickle
    paths[2].unlink()
    code, _, stderr = finish(start(slow, tmp_path))
    assert code == 0
    named = [line for line in stderr.splitlines() if line.startswith("made again: ")]
    assert [str(path) in line for path, line in zip(paths[:2], named, strict=True)] == [True, True]
    assert comparable(tmp_path) == want
