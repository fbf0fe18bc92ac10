"""Speed as ratios: two or more ways of doing the same work, interleaved on one core, medians and spread.

The machine is noisy, so no single time means much; a ratio of interleaved medians does.  Each paper offers
its contests in `<paper>_repro.bench.contests()`; `python -m clrepro.bench [PAPER ...] [--only TEXT] [--out
DIR]` runs them, prints a table and writes `bench.json`.
"""

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clrepro.errors import UsageError
from clrepro.runs import write_atomically


@dataclass(frozen=True)
class Contest:
    """Work done by several contenders.

    Attributes: name — what is timed; unit — what one unit of work is; sides — contender name to a function
        that does some units and returns how many; the first side is ours, the others are compared with it;
        target — the ratio or time that was promised, in words; rounds — interleaved repetitions.
    """

    name: str
    unit: str
    sides: Mapping[str, Callable[[], int]]
    target: str = ""
    rounds: int = 5


@dataclass(frozen=True)
class Standing:
    """Seconds per unit of every side and round, and what follows from them."""

    contest: Contest
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, side: str) -> float:
        """Returns the side's median seconds per unit."""
        return statistics.median(self.seconds[side])

    def ratio(self, side: str) -> tuple[float, float, float]:
        """Returns (median, smallest, largest) over the rounds of side / ours: how many times faster ours
        is.
        """
        ours = self.seconds[next(iter(self.contest.sides))]
        each = [other / own for other, own in zip(self.seconds[side], ours, strict=True)]
        return statistics.median(each), min(each), max(each)

    def to_json(self) -> dict[str, Any]:
        """Returns everything measured."""
        contest = self.contest
        others, names = list(contest.sides)[1:], ("median", "min", "max")
        return {
            "name": contest.name,
            "unit": contest.unit,
            "target": contest.target,
            "seconds_per_unit": self.seconds,
            "ratio": {side: dict(zip(names, self.ratio(side), strict=True)) for side in others},
        }


def run(contest: Contest) -> Standing:
    """Time all sides in turn, round by round, after one untimed call each (compilation, caches)."""
    seconds: dict[str, list[float]] = {side: [] for side in contest.sides}
    for work in contest.sides.values():
        work()
    for _ in range(contest.rounds):
        for side, work in contest.sides.items():
            start = time.perf_counter()
            units = work()
            seconds[side].append((time.perf_counter() - start) / units)
    return Standing(contest, seconds)


def pin_to_one_core() -> None:
    """Keep this process, and every thread it starts, on one core; without that right, times are noisier but
    valid.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def human(seconds: float) -> str:
    """Returns a duration with a unit a person reads easily, three significant digits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def lines(standing: Standing) -> Iterable[str]:
    """Yields the printed lines of one contest."""
    contest = standing.contest
    yield f"{contest.name} (per {contest.unit})" + (f"; promised: {contest.target}" if contest.target else "")
    for place, side in enumerate(contest.sides):
        text = f"    {side:<34} {human(standing.median(side)):>10}"
        if place:
            middle, low, high = standing.ratio(side)
            text += f"   ours is {middle:.3g} times as fast ({low:.3g} to {high:.3g})"
        yield text


def main(argv: list[str] | None = None) -> int:
    """Run the contests of the papers named (default: all that are installed); returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m clrepro.bench", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "papers", nargs="*", default=["mer"], help="papers whose contests to run (default: mer)"
    )
    parser.add_argument("--only", default="", help="run only contests whose name contains this text")
    parser.add_argument(
        "--out", type=Path, default=Path("results"), help="folder for bench.json (default: results)"
    )
    args = parser.parse_args(argv)
    pin_to_one_core()
    standings = []
    for paper in args.papers:
        try:
            module = importlib.import_module(f"{paper}_repro.bench")
        except ModuleNotFoundError as error:
            raise UsageError(f"paper {paper!r} offers no bench here ({error}); try: mer") from error
        for contest in module.contests():
            if args.only in contest.name:
                standings.append(run(contest))
                print("\n".join(lines(standings[-1])), flush=True)
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    report |= {"contests": [standing.to_json() for standing in standings]}
    write_atomically(args.out / "bench.json", (json.dumps(report, indent=1) + "\n").encode())
    print(f"written: {args.out / 'bench.json'}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
