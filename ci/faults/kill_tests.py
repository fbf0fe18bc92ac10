"""Campaigns that stop commands at random moments, by SIGKILL or politely, and start them again until they are
done.
"""

import atexit
import functools
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.commands import Work, all_works, finish, kill_group, wait_until_gone
from faults.results import Row, Tally

KILLS_PER_FOLDER = 8  # then a new one, else the later kills find little left to do
POLITE = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
POLITE_SECONDS = 20.0  # to end after a polite signal, on a busy machine


@dataclass(frozen=True)
class Straight:
    """An undisturbed run: what comes of it, how long it takes, and how many bytes it leaves."""

    want: Any
    seconds: float
    size: int


@functools.cache
def session() -> Path:
    """A folder for what all campaigns of this session share; gone at its end."""
    folder = tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return Path(folder.name)


_straight: dict[str, Straight] = {}


def straight(work: Work) -> Straight:
    """Two undisturbed runs of a work, once per session: one for data and compiled code, one to be timed.

    Raises: RuntimeError if they fail or differ.
    """
    if work.name not in _straight:
        folder = session() / work.name.replace(" ", "_").replace(":", "")
        first, second = folder / "first", folder / "second"
        first.mkdir(parents=True)
        second.mkdir()
        if code := finish(work.start(first, folder)):
            raise RuntimeError(f"{work.name} ends with {code} undisturbed: {log_of(first)[-800:]}")
        want = work.results(first)
        began = time.monotonic()
        finish(work.start(second, folder))
        seconds = time.monotonic() - began
        if problem := work.problem(second, want):
            raise RuntimeError(f"{work.name}, two undisturbed runs: {problem}")
        size = sum(path.stat().st_size for path in second.rglob("*") if path.is_file())
        _straight[work.name] = Straight(want, seconds, size)
    return _straight[work.name]


def works_one_by_one(
    seed: int, pythons: dict[str, str], papers: list[str] | None, quick: bool
) -> Iterator[tuple[Work, Path, random.Random]]:
    """Yields each work with a folder of its own, which is gone at the end, and its rng."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name:
        for number, work in enumerate(all_works(session() / "shared", pythons, papers, quick)):
            folder = Path(name) / str(number)
            folder.mkdir()
            yield work, folder, random.Random(f"{seed}/{work.name}")


def log_of(out: Path) -> str:
    """What a command and those before it in the same folder said."""
    path = out.with_name(out.name + ".log")
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def kills(
    tally: Tally, *, n: int, seed: int, pythons: dict[str, str], papers: list[str] | None, quick: bool
) -> None:
    """SIGKILL, to the whole process group or to the command alone, `n` times over all works."""
    n_works = len(all_works(session() / "shared", pythons, papers, quick))
    for number, (work, folder, rng) in enumerate(works_one_by_one(seed, pythons, papers, quick)):
        share = n // n_works + (number < n % n_works)
        with tally.row("kills", work.name) as row:
            _kill_often(row, work, folder, share, rng)


def _kill_often(row: Row, work: Work, folder: Path, n: int, rng: random.Random) -> None:
    quiet = straight(work)
    killed = resumed = folders = 0
    while killed < n:
        out, cases = folder / f"killed{folders}", []
        folders += 1
        out.mkdir()
        problem = ""
        for _ in range(min(KILLS_PER_FOLDER, n - killed)):
            process = work.start(out, folder)
            wait, whole = rng.uniform(0.1, 1.0) * quiet.seconds, rng.random() < 0.5
            time.sleep(wait)
            if process.poll() is not None:
                finish(process)
                break
            (os.killpg if whole else os.kill)(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            resumed += any(out.rglob("*.state"))
            cases.append(f"{wait:.3f} s{'' if whole else ' (parent)'}")
            if not wait_until_gone(process.pid, 20):
                problem = "its workers live on"
                kill_group(process.pid)
        problem = problem or _finish_well(work, out, folder, quiet.want)
        if problem:
            row.add(f"{problem}; {log_of(out)[-300:]}", case=f"kills after {', '.join(cases)}")
            cases = cases[1:]
        for _ in cases:
            row.add()
    row.note = (
        f"{folders} folders, {resumed} kills with a checkpoint there, a straight run {quiet.seconds:.1f} s"
    )


def _finish_well(work: Work, out: Path, folder: Path, want: Any) -> str:
    """What is wrong after the last start, which nothing disturbs."""
    code = finish(work.start(out, folder))
    if code != 0:
        return f"the last start ended with {code}"
    return work.problem(out, want)


def polite(
    tally: Tally, *, n: int, seed: int, pythons: dict[str, str], papers: list[str] | None, quick: bool
) -> None:
    """SIGTERM, SIGINT to the group as a terminal does, SIGHUP: ends soon, with its code, and goes on."""
    for work, folder, rng in works_one_by_one(seed, pythons, papers, quick):
        with tally.row("signals", work.name) as row:
            _signal_often(row, work, folder, n, rng)


def _signal_often(row: Row, work: Work, folder: Path, n: int, rng: random.Random) -> None:
    quiet = straight(work)
    slowest = 0.0
    for number in range(n):
        out = folder / f"stopped{number}"
        out.mkdir()
        chosen = list(POLITE)[number % len(POLITE)]
        process = work.start(out, folder)
        wait = rng.uniform(0.5, 1.0) * quiet.seconds
        case = f"{chosen.name} after {wait:.3f} s"
        time.sleep(wait)
        if process.poll() is not None:
            finish(process)
            row.add(work.problem(out, quiet.want), case=f"{case} (it was done)")
            continue
        began = time.monotonic()
        _send(process, chosen)
        try:
            code: int | None = process.wait(POLITE_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        slowest = max(slowest, time.monotonic() - began)
        problem = _judge(work, code, chosen, log_of(out))
        if not wait_until_gone(process.pid, 10):
            problem = problem or "its workers live on"
            kill_group(process.pid)
        row.add(problem or _finish_well(work, out, folder, quiet.want), case=case)
    row.note = f"slowest to end {slowest:.1f} s"


def _send(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    try:
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    except ProcessLookupError:
        pass


def _judge(work: Work, code: int | None, number: signal.Signals, said: str) -> str:
    """What is wrong with how a command ended after a polite signal.

    A sweep answers each with its code.  A paper's own program answers Ctrl-C; the others end it at once, as
    they end any program, which counts as killed.
    """
    if code is None:
        return f"still there {POLITE_SECONDS:.0f} s after {number.name}"
    allowed = {POLITE[number], 0}
    if not work.name.endswith("sweep") and number != signal.SIGINT:
        allowed.add(-number)
    if code not in allowed and not (code == -number and "Traceback" not in said and not said.strip()):
        return f"ended with {code} after {number.name}: {said[-200:]}"
    return f"a traceback after {number.name}: {said[-300:]}" if "Traceback" in said else ""
