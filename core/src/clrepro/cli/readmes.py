"""Tables inside README files: written between markers from the records, never by hand."""

from collections.abc import Sequence
from pathlib import Path

from clrepro.errors import DataError
from clrepro.io.atomic import write_atomically
from clrepro.io.paths import is_file
from clrepro.io.regular_files import read_regular_text
from clrepro.records import MAX_BYTES
from clrepro.report.readme import readme_block
from clrepro.report.tables import Table


def update_readmes(home: Path, tables: Sequence[Table]) -> list[Path]:
    """Rewrite the tables of README.md and papers/*/README.md whose markers name one of `tables`.

    The markers are `<!-- results:mer-full -->` and `<!-- /results:mer-full -->` for paper mer, profile full.
    Returns: the files that changed.
    Raises: DataError naming the file if one of a pair of markers is missing, or if it cannot be written.
    """
    changed = []
    for path in [home / "README.md", *sorted(home.glob("papers/*/README.md"))]:
        if not is_file(path):
            continue
        old = new = read_regular_text(path, MAX_BYTES)
        for table in tables:
            name = f"{table.paper}-{table.profile}"
            if f"results:{name} -->" not in new:
                continue
            try:
                new = readme_block(new, table.markdown(), name)
            except DataError as problem:
                raise DataError(f"{path}: {problem}") from None
        if new != old:
            write_atomically(path, new.encode())
            changed.append(path)
    return changed
