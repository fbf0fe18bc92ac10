"""Campaigns with two writers on one folder, and with a clock that jumps."""

import random
import time
from pathlib import Path

from faults.commands import Work, finish
from faults.kill_tests import Straight, log_of, straight, works_one_by_one
from faults.results import Row, Tally

CLOCK = '''
"""Python imports this at its start: from then on every look at the wall clock may find it hours away."""
import datetime as _datetime
import random as _random
import time as _time

_rng, _real, _real_ns = _random.Random(), _time.time, _time.time_ns
_hours = 3600.0


def _jump():
    return _rng.choice((-26, -5, -1, 0, 0, 1, 7, 49)) * _hours


def _shifted():
    return max(1.0, _real() + _jump())


class _Datetime(_datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + _datetime.timedelta(seconds=_jump())


_time.time = _shifted
_time.time_ns = lambda: int(_shifted() * 1e9)
_datetime.datetime = _Datetime
'''


def two_writers(
    tally: Tally, *, n: int, seed: int, pythons: dict[str, str], papers: list[str] | None, quick: bool
) -> None:
    """Two of the same command on one folder, the second up to a run's length after the first."""
    for work, folder, rng in works_one_by_one(seed, pythons, papers, quick):
        quiet, said = straight(work), 0
        with tally.row("two writers", work.name) as row:
            for place in range(n):
                wait = 0.0 if place == 0 else rng.uniform(0, quiet.seconds)
                said += _both(row, work, folder / f"both{place}", wait, quiet)
            row.note = f"{said} times one of the two said that the other works"


def _both(row: Row, work: Work, out: Path, wait: float, quiet: Straight) -> bool:
    """Start two; returns whether one gave way."""
    out.mkdir()
    first = work.start(out, out.parent)
    time.sleep(wait)
    second = work.start(out, out.parent)
    codes = [finish(first), finish(second)]
    said = log_of(out)
    problem = work.problem(out, quiet.want)
    gave_way = "in use by process" in said
    if "Traceback" in said or None in codes or 0 not in codes:
        problem = f"ended with {codes}: {said[-300:]}"
    elif 1 in codes and not gave_way:
        problem = f"one ended with 1 and no word of the other: {said[-300:]}"
    row.add(problem, case=f"second after {wait:.3f} s")
    return gave_way


def clocks(
    tally: Tally, *, n: int, seed: int, pythons: dict[str, str], papers: list[str] | None, quick: bool
) -> None:
    """Whole commands, and commands killed and started again, under a clock that jumps by hours."""
    for work, folder, rng in works_one_by_one(seed, pythons, papers, quick):
        quiet = straight(work)
        (folder / "absent").mkdir()
        (folder / "absent" / "sitecustomize.py").write_text(CLOCK)
        with tally.row("clock", work.name) as row:
            for place in range(n):
                _under_jumps(row, work, folder / f"clock{place}", rng, quiet)
            row.note = "time.time, time_ns and datetime.now jump at every call; waiting is monotonic"


def _under_jumps(row: Row, work: Work, out: Path, rng: random.Random, quiet: Straight) -> None:
    out.mkdir()
    began = time.monotonic()
    process = work.start(out, out.parent)
    wait = rng.uniform(0.3, 0.9) * quiet.seconds
    time.sleep(wait)
    process.kill()
    finish(process)
    code = finish(work.start(out, out.parent))
    problem = f"ended with {code}: {log_of(out)[-300:]}" if code else work.problem(out, quiet.want)
    if time.monotonic() - began > 10 * quiet.seconds + 60:
        problem = problem or f"took {time.monotonic() - began:.0f} s in place of {quiet.seconds:.0f}"
    row.add(problem, case=f"killed after {wait:.3f} s")
