"""What the arena's page shows: verdict, table and two pictures of each stream, and ranks over streams."""

from collections.abc import Sequence
from dataclasses import dataclass

from clrepro.arena.ranking import Rank, ranking
from clrepro.origin import in_words
from clrepro.records import RunRecord
from clrepro.report.arena_figures import critical_difference, pareto
from clrepro.report.arena_table import StreamTable, stream_table


@dataclass(frozen=True)
class ArenaStreamPart:
    """One stream: its table and SVGs ("" where matplotlib is missing or there is nothing to draw)."""

    table: StreamTable
    id: str
    difference: str
    costs: str


@dataclass(frozen=True)
class ArenaPage:
    """The page: streams, ranks over those of one profile, who is compared, where the records are from."""

    parts: list[ArenaStreamPart]
    ranks: dict[str, list[Rank]]
    subject: str
    made: str
    runs: int


def arena_page(records: Sequence[RunRecord], subject: str) -> ArenaPage | None:
    """Returns the page of some records, None without any.  Args: subject — whose verdict is told."""
    if not records:
        return None
    parts: list[ArenaStreamPart] = []
    ranks: dict[str, list[Rank]] = {}
    for profile in sorted({record.profile for record in records}):
        own = [record for record in records if record.profile == profile]
        tables = [stream_table(name, own, subject) for name in dict.fromkeys(r.setting for r in own)]
        parts += [_part(table, profile) for table in tables]
        values = {table.stream: {line.method: line.values for line in table.lines} for table in tables}
        if len(values) > 1:
            ranks[profile] = ranking(values, subject)
    return ArenaPage(parts, ranks, subject, in_words(record.origin for record in records), len(records))


def _part(table: StreamTable, profile: str) -> ArenaStreamPart:
    name = f"{profile}-{table.stream.replace('/', '-')}"
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return ArenaStreamPart(table, name, "", "")
    return ArenaStreamPart(
        table, name, critical_difference(table.lines, f"{name}/cd"), pareto(table.lines, f"{name}/pareto")
    )
