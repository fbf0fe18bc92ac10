"""`cl-repro report`: tables, page and READMEs from the records that are there; nothing is run."""

import sys
import webbrowser
from pathlib import Path

from clrepro.commands.outputs import tables_from, write_table
from clrepro.commands.readmes import update_readmes
from clrepro.errors import DataError
from clrepro.report.page import write_page
from clrepro.runs import make_folder
from clrepro.sweep import find_home


def run(out: Path, records: list[Path], show: bool, into_readmes: bool) -> int:
    """Write the tables and `<out>/report.html` from the records below `out`, `records` and those that came
    with the papers (papers/*/results/full); a run that is in several counts from the first.

    Args: show — open the page in the browser; into_readmes — rewrite the marked tables of the READMEs.
    Returns: 0.  Raises: DataError if there is no record or something cannot be written.
    """
    home = find_home()
    shipped = sorted(home.glob("papers/*/results/full"))
    tables, problems = tables_from(home, [out, *records, *shipped])
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    if not tables:
        looked = ", ".join(map(str, [out, *records]))
        raise DataError(f"no finished run below {looked}; make some with: cl-repro reproduce PAPER")
    path = make_folder(out) / "report.html"
    write_page(path, tables)
    for table in tables:
        print(write_table(table, out) / "table.md")
    print(path)
    if into_readmes:
        for readme in update_readmes(home, tables):
            print(readme)
    if show:
        webbrowser.open(path.resolve().as_uri())
    return 0
