"""What the repository shows of its records: tables in README files, the tables beside the records, pictures.

What stands between markers is never written by hand.

`<!-- results:mer-full -->` … `<!-- /results:mer-full -->` holds the whole table of paper mer, profile full;
`<!-- results:mer-full many/*/gem rotations/200/* -->` the rows that match a pattern, and a link to the whole;
`<!-- results:overview -->` a line per paper.  `<!-- figure:docs/x.svg mer-full permutations RA gem=GEM -->`
says what that file shows: a metric against memory size, of one family of settings, these methods by these
names.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clrepro.cli.outputs import write_table_in
from clrepro.errors import DataError
from clrepro.io.atomic import write_atomically
from clrepro.io.paths import is_file
from clrepro.io.regular_files import read_regular_text
from clrepro.records import MAX_BYTES
from clrepro.report.figures import memory_curves
from clrepro.report.overview import overview_table
from clrepro.report.page import PaperFacts, paper_page
from clrepro.report.readme import readme_block
from clrepro.report.tables import LEGEND, Table, family

_START = re.compile(r"<!-- results:(\S+)((?: [^\s>]+)*) -->")
_FIGURE = re.compile(r"<!-- figure:(\S+) (\S+) (\S+) (\S+)((?: [^\s>=]+=[^\s>]+)+) -->")


def update_readmes(home: Path, tables: Sequence[Table], facts: Sequence[PaperFacts]) -> list[Path]:
    """Rewrite what the checkout `home` shows of `tables`.

    Returns: the files that changed.
    Raises: DataError naming the file if one of a pair of markers is missing or a pattern matches no row, or
    if it cannot be written.
    """
    changed = []
    known = {f"{table.paper}-{table.profile}": table for table in tables}
    overview = overview_table(
        [paper_page(one, tables, {}) for one in sorted(facts, key=lambda one: one.order)]
    )
    for path in [home / "README.md", *sorted(home.glob("papers/*/README.md"))]:
        if not is_file(path):
            continue
        old = new = read_regular_text(path, MAX_BYTES)
        for file, *words in _FIGURE.findall(old):
            _draw(path.parent / file, known, *words)
        for name, words in _START.findall(old):
            block = overview if name == "overview" else _block(path, known, name, words.split())
            if block is not None:
                new = _replaced(path, new, block, name, words)
        if new != old:
            write_atomically(path, new.encode())
            changed.append(path)
    for table in tables:
        folder = home / "papers" / table.paper / "results"
        if (folder / table.profile).is_dir():
            write_table_in(folder / table.profile, table)
    return changed


def _block(path: Path, known: Mapping[str, Table], name: str, patterns: list[str]) -> str | None:
    if (table := known.get(name)) is None:
        return None
    if not patterns:
        return table.markdown()
    try:
        rows = table.markdown_of(patterns)
    except ValueError as problem:
        raise DataError(f"{path}: {problem}") from None
    whole = f"results/{table.profile}/table.md"
    return f"{rows}\n{LEGEND} All {len(table.rows)} rows, orderings and notes: [{whole}]({whole})."


def _replaced(path: Path, text: str, block: str, name: str, words: str) -> str:
    try:
        return readme_block(text, block, name, words)
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from None


def _draw(path: Path, known: Mapping[str, Table], name: str, setting: str, metric: str, words: str) -> None:
    if (table := known.get(name)) is None:
        return
    names = dict(word.split("=", 1) for word in words.split())
    rows = [row for row in table.rows if family(row.setting) == setting and row.method in names]
    rows = sorted(rows, key=lambda row: list(names).index(row.method))
    shown = replace(table, rows=tuple(replace(row, method=names[row.method]) for row in rows))
    figures = memory_curves(shown, metric)
    if setting not in figures:
        raise DataError(f"{path}: {name} has no {metric} against memory size in {setting}")
    write_atomically(path, (figures[setting] + "\n").encode())
