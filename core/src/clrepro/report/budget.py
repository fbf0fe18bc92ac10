"""What more seeds would settle: for every open verdict (consistent or inconclusive) how many, what they cost,
and the command.

The forecast takes mean and spread as they are now, so it is a plan, not a promise.  Where the reference
itself is too uncertain no number of our seeds decides, and the reader is told how many of the reference, or
of both sides, would.
"""

import math
import shlex
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from clrepro.claims import UNKNOWN_N
from clrepro.metrics.stats import decided_in_the_limit, least_half_width
from clrepro.report.tables import Cell, JudgedOrdering, Row, Table
from clrepro.verdicts import VALUE_CONFIDENCE


@dataclass(frozen=True)
class Need:
    """An open cell that more seeds would decide.

    seeds: seeds of the row in all; hours: expected processor hours of those to come, nan if no run recorded
    any; first: whether those seeds only give a first interval, after which it is known how many decide.
    """

    setting: str
    method: str
    metric: str
    n: int
    more: int
    seeds: int
    hours: float
    command: str
    first: bool = False


@dataclass(frozen=True)
class OrderingNeed:
    """An inconclusive ordering that more seeds would decide; one command per row that takes part."""

    text: str
    claim: str
    n: int
    more: int
    hours: float
    commands: tuple[str, ...]
    first: bool = False


@dataclass(frozen=True)
class Never:
    """An open cell that no number of our seeds decides.

    reference: in percent, `target` the same with its spread in words; floor: half-width in points of the
    interval with infinitely many of our seeds; tolerance: in points; both: (seeds of ours, seeds of the
    reference) in all that would decide, None if not even 1,000 would.
    """

    setting: str
    method: str
    metric: str
    n: int
    target: str
    reference: float
    difference: float
    floor: float
    tolerance: float
    both: tuple[int, int] | None


@dataclass(frozen=True)
class Budget:
    """The plan of one table.

    late: cells and orderings, in words, so near their boundary that it takes more seeds than were looked at;
    runs, rows, hours: all cells' needs together, each row run once for all of them.
    """

    cells: tuple[Need, ...]
    orderings: tuple[OrderingNeed, ...]
    never: tuple[Never, ...]
    late: tuple[str, ...]
    open_cells: int
    open_orderings: int
    runs: int
    rows: int
    hours: float

    def __bool__(self) -> bool:
        return bool(self.cells or self.orderings or self.never or self.late)


def seed_budget(table: Table) -> Budget:
    """Returns the plan for a table: what is cheapest first; empty if nothing is open."""
    costs = _hours_per_run(table)
    cells: list[Need] = []
    never: list[Never] = []
    late: list[str] = []
    for row in table.rows:
        for cell in row.cells:
            if cell.verdict.open:
                if cell.verdict.more_seeds:
                    cells.append(_need(table, row, cell, costs[row.setting, row.method]))
                elif (one := _never(row, cell)) is not None:
                    never.append(one)
                else:
                    late.append(f"{cell.metric} of {row.setting}/{row.method}")
    open_ = [one for one in table.orderings if one.verdict.open]
    orderings = [_ordering_need(table, one, costs) for one in open_ if one.verdict.more_seeds]
    most: dict[tuple[str, str], int] = defaultdict(int)
    for need in cells:
        most[need.setting, need.method] = max(most[need.setting, need.method], need.more)
    return Budget(
        tuple(sorted(cells, key=_price)),
        tuple(sorted(orderings, key=_price)),
        tuple(never),
        (*late, *(one.text for one in open_ if not one.verdict.more_seeds)),
        sum(cell.verdict.open for row in table.rows for cell in row.cells),
        len(open_),
        sum(most.values()),
        len(most),
        sum(costs[key] * more for key, more in most.items()),
    )


def reproduce_command(table: Table, setting: str, method: str, seeds: int | None = None) -> str:
    """The command that runs one row of a profile, with so many seeds in all (None: the profile's)."""
    words = ["cl-repro", "reproduce", table.paper, "--profile", table.profile, "--only"]
    text = f"{shlex.join(words)} '{setting}/{method}'"
    return text if seeds is None else f"{text} --seeds {seeds}"


def _need(table: Table, row: Row, cell: Cell, hours: float) -> Need:
    more = cell.verdict.more_seeds or 0
    seeds = row.n + more
    command = reproduce_command(table, row.setting, row.method, seeds)
    first = len(cell.values) < 2
    return Need(
        row.setting, row.method, cell.metric, len(cell.values), more, seeds, hours * more, command, first
    )


def _never(row: Row, cell: Cell) -> Never | None:
    """None if some number of seeds would decide, though more than were looked at."""
    assert cell.claim is not None
    assert cell.claim.reference is not None
    reference, tolerance = cell.claim.reference, cell.claim.tolerance_pct
    difference, n = cell.interval.mean - reference.value, reference.n or UNKNOWN_N
    if decided_in_the_limit(
        difference, -tolerance, tolerance, sd=reference.sd, n=n, confidence=VALUE_CONFIDENCE
    ):
        return None
    floor = least_half_width(reference.sd, n, VALUE_CONFIDENCE)
    return Never(
        *(row.setting, row.method, cell.metric, len(cell.values), cell.target),
        *(reference.value, difference, floor, tolerance, cell.verdict.both_seeds),
    )


def _ordering_need(table: Table, one: JudgedOrdering, costs: dict[tuple[str, str], float]) -> OrderingNeed:
    """Every side needs the seeds it lacks of `n` common ones and `more`."""
    more, n = one.verdict.more_seeds or 0, one.verdict.n
    have = {(row.setting, row.method): row.n for row in table.rows}
    rows = [key for key in dict.fromkeys(key for _, key in one.claim.sides()) if key in have]
    lacking = [key for key in rows if have[key] < n + more]
    hours = sum(costs[key] * (n + more - have[key]) for key in lacking)
    commands = tuple(reproduce_command(table, *key, n + more) for key in lacking)
    return OrderingNeed(one.text, one.claim.claim, n, more, hours, commands, one.verdict.difference is None)


def _hours_per_run(table: Table) -> dict[tuple[str, str], float]:
    """(setting, method) to processor hours per run, wall hours where a record has no other; nan without."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for record in table.records:
        if record.status == "done":
            spent = record.cost.get("cpu_s", record.cost.get("wall_s", math.nan))
            seconds.setdefault((record.setting, record.method), []).append(spent)
    return {key: _mean(values) / 3600 for key, values in seconds.items()}


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _price(need: Need | OrderingNeed) -> tuple[bool, float, int]:
    return math.isnan(need.hours), 0.0 if math.isnan(need.hours) else need.hours, need.more
