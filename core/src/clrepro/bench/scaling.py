"""How a cost grows: the same work at several sizes, by several variants."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clrepro.bench.benchmark import human, timed, use_cores


@dataclass(frozen=True)
class Scaling:
    """Work at several sizes.

    Attributes: name — what grows with what; x_label — what the sizes are; unit — what one unit of work is;
        sizes — where it is measured; sides — variant name to a function that prepares work of a given size
        and returns a function as of `Benchmark.sides`; None from it means that the variant does not go so
        far; cores — as of `Benchmark`.
    """

    name: str
    x_label: str
    unit: str
    sizes: Sequence[int]
    sides: Mapping[str, Callable[[int], Callable[[], int] | None]]
    rounds: int = 3
    cores: int = 1


@dataclass(frozen=True)
class Growth:
    """Median seconds per unit by side: a list of (size, seconds)."""

    scaling: Scaling
    points: dict[str, list[tuple[int, float]]]

    def to_json(self, paper: str) -> dict[str, Any]:
        """Returns what bench.json keeps of it."""
        return {
            "paper": paper,
            "name": self.scaling.name,
            "x_label": self.scaling.x_label,
            "y_label": f"seconds per {self.scaling.unit}",
            "log": True,
            "lines": [
                {"name": side, "x": [float(x) for x, _ in points], "y": [y for _, y in points]}
                for side, points in self.points.items()
            ],
        }


def measure(scaling: Scaling) -> Growth:
    """Time every side at every size, the sides of a size in turn, after one untimed call each."""
    use_cores(scaling.cores)
    points: dict[str, list[tuple[int, float]]] = {side: [] for side in scaling.sides}
    for size in scaling.sizes:
        made = {side: make(size) for side, make in scaling.sides.items()}
        works = {side: work for side, work in made.items() if work is not None}
        for work in works.values():
            work()
        seconds: dict[str, list[float]] = {side: [] for side in works}
        for _ in range(scaling.rounds):
            for side, work in works.items():
                seconds[side].append(timed(work, scaling.cores))
        for side in works:
            points[side].append((size, statistics.median(seconds[side])))
    return Growth(scaling, points)


def lines(growth: Growth) -> Iterable[str]:
    """Yields the printed lines of one growth."""
    yield f"{growth.scaling.name} (per {growth.scaling.unit}, by {growth.scaling.x_label})"
    for side, points in growth.points.items():
        yield f"    {side:<34} " + ", ".join(f"{size}: {human(seconds)}" for size, seconds in points)
