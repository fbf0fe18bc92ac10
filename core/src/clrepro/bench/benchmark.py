"""One benchmark: the same work done by several variants in turn, and what follows from their times."""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Benchmark:
    """Work done by several variants.

    Attributes: name — what is timed; unit — what one unit of work is; sides — variant name to a function
        that does some units and returns how many; the first side is ours, the others are compared with it;
        target — what was promised, in words; rounds — interleaved repetitions; promised — side to how many
        times as fast as it ours should be; cores — how many the sides may use: with one, processor time is
        measured, which other programs on the machine disturb least, with more the time on the wall.
    """

    name: str
    unit: str
    sides: Mapping[str, Callable[[], int]]
    target: str = ""
    rounds: int = 5
    promised: Mapping[str, float] = field(default_factory=dict)
    cores: int = 1


@dataclass(frozen=True)
class Timing:
    """Seconds per unit of every side and round, and what follows from them."""

    benchmark: Benchmark
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, side: str) -> float:
        """Returns the side's median seconds per unit."""
        return statistics.median(self.seconds[side])

    def ratio(self, side: str) -> tuple[float, float, float]:
        """Returns (median, smallest, largest) over the rounds of side / ours: how many times faster ours
        is.
        """
        ours = self.seconds[next(iter(self.benchmark.sides))]
        each = [other / own for other, own in zip(self.seconds[side], ours, strict=True)]
        return statistics.median(each), min(each), max(each)

    def rows(self, paper: str) -> list[dict[str, Any]]:
        """Returns what bench.json keeps: a row for each peer, or one without a ratio if there is none."""
        ours, *peers = self.benchmark.sides
        return [self._row(paper, ours, peer) for peer in peers] or [self._row(paper, ours, None)]

    def _row(self, paper: str, ours: str, peer: str | None) -> dict[str, Any]:
        variants = [ours] if peer is None else [ours, peer]
        promised = self.benchmark.promised.get(peer or "")
        ratio, verdict = None, "none"
        if peer is not None:
            middle, low, high = self.ratio(peer)
            ratio = {"of": peer, "to": ours, "median": middle, "low": low, "high": high}
            if promised is not None:
                verdict = "kept" if middle >= promised else "missed"
        return {
            "paper": paper,
            "name": self.benchmark.name,
            "unit": self.benchmark.unit,
            "target": self.benchmark.target,
            "clock": clock_of(self.benchmark.cores),
            "variants": [self._variant(side) for side in variants],
            "ratio": ratio,
            "promised": promised,
            "verdict": verdict,
        }

    def _variant(self, side: str) -> dict[str, Any]:
        seconds = self.seconds[side]
        return {
            "name": side,
            "median": statistics.median(seconds),
            "low": min(seconds),
            "high": max(seconds),
            "rounds": len(seconds),
        }


def run(benchmark: Benchmark) -> Timing:
    """Time all sides in turn, round by round, after one untimed call each (compilation, caches)."""
    use_cores(benchmark.cores)
    seconds: dict[str, list[float]] = {side: [] for side in benchmark.sides}
    for work in benchmark.sides.values():
        work()
    for _ in range(benchmark.rounds):
        for side, work in benchmark.sides.items():
            seconds[side].append(timed(work, benchmark.cores))
    return Timing(benchmark, seconds)


def timed(work: Callable[[], int], cores: int) -> float:
    """Returns seconds per unit of one call of `work`, by the clock of `clock_of`."""
    clock = _processor_seconds if cores == 1 else time.perf_counter
    start = clock()
    units = work()
    return (clock() - start) / units


def _processor_seconds() -> float:
    """Of this process and of the children it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def clock_of(cores: int) -> str:
    """Which clock measures work that may use `cores` cores."""
    return "processor" if cores == 1 else "wall"


_ALL_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def use_cores(n: int) -> None:
    """Keep this process, and every thread it starts from now on, on the last `n` of its cores.

    Without that right, times are noisier but valid.
    """
    if _ALL_CORES:
        os.sched_setaffinity(0, set(sorted(_ALL_CORES)[-n:]))


def human(seconds: float) -> str:
    """Returns a duration with a unit a person reads easily, three significant digits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def lines(timing: Timing) -> Iterable[str]:
    """Yields the printed lines of one benchmark."""
    benchmark = timing.benchmark
    yield f"{benchmark.name} (per {benchmark.unit})" + (
        f"; promised: {benchmark.target}" if benchmark.target else ""
    )
    for place, side in enumerate(benchmark.sides):
        text = f"    {side:<34} {human(timing.median(side)):>10}"
        if place:
            middle, low, high = timing.ratio(side)
            text += f"   ours is {middle:.3g} times as fast ({low:.3g} to {high:.3g})"
        yield text
