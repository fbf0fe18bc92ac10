"""Tables and page made from records: what `reproduce` ends with and `report` makes again."""

from collections.abc import Sequence
from pathlib import Path

from clrepro.claims import Claims, load_claims
from clrepro.errors import UsageError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.paths import is_file
from clrepro.records import RunRecord, load_many
from clrepro.report.odd import without_odd
from clrepro.report.tables import Table, results_table
from clrepro.sweep import load_profiles
from clrepro.sweep.jobs import ARENA


def make_table(home: Path, paper: str, profile: str, records: Sequence[RunRecord]) -> Table:
    """The table of `records` of one profile, rows in the order of its profile file, others after them."""
    records = [record for record in records if record.status == "done"]
    order = _row_order(home, paper, profile)
    last = len(order)
    ordered = sorted(
        records, key=lambda r: (order.get((r.setting, r.method), last), r.setting, r.method, r.seed)
    )
    return results_table(paper, profile, ordered, _claims(home, paper, ordered))


def write_table(table: Table, out: Path) -> Path:
    """Write table.md and table.csv to `<out>/<paper>/<profile>/`.  Returns: the folder."""
    folder = make_folder(out / table.paper / table.profile)
    write_table_in(folder, table)
    return folder


def write_table_in(folder: Path, table: Table) -> None:
    """Write table.md and table.csv into a folder."""
    write_atomically(folder / "table.md", table.markdown().encode())
    write_atomically(folder / "table.csv", table.csv().encode())


def tables_from(home: Path, folders: Sequence[Path]) -> tuple[list[Table], list[str]]:
    """The tables of all records below `folders`, by paper and profile; a line per file that is no record, and
    per record that no table or figure can be made from.

    Of two records of the same run the one from the earlier folder counts.
    """
    found: dict[tuple[str, str], dict[str, RunRecord]] = {}
    problems: list[str] = []
    for folder in folders:
        records, bad = load_many(folder)
        problems += bad
        for record in records:
            if record.status == "done" and record.paper != ARENA:  # which has a page of its own
                found.setdefault((record.paper, record.profile), {}).setdefault(record.key, record)
    tables = []
    for key, runs in sorted(found.items()):
        usable, odd = without_odd(list(runs.values()))
        problems += odd
        if usable:
            tables.append(make_table(home, *key, usable))
    return tables, problems


def _row_order(home: Path, paper: str, profile: str) -> dict[tuple[str, str], int]:
    """(setting, method) -> place in the profile file; empty if this checkout lacks the paper or profile."""
    try:
        known = load_profiles(home, paper)
    except UsageError:
        return {}
    rows = known[profile].rows if profile in known else []
    return {(row.setting, row.method): i for i, row in enumerate(rows)}


def _claims(home: Path, paper: str, records: Sequence[RunRecord]) -> Claims:
    """The paper's claims, or none over the metrics at hand where it has no claims file."""
    path = home / "papers" / paper / "claims.toml"
    if is_file(path):
        return load_claims(path)
    return Claims(paper, {name: name for name in sorted({name for r in records for name in r.metrics})})
