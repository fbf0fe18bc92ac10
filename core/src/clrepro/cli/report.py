"""`cl-repro report`: tables, page and READMEs from the records that are there, without running anything."""

import webbrowser
from pathlib import Path

from clrepro.arena.tuning import PROFILE
from clrepro.checkout import BROUGHT
from clrepro.cli.arena_page import page_of
from clrepro.cli.outputs import tables_from, write_table
from clrepro.cli.readmes import update_readmes
from clrepro.cli.site import paper_facts, write_report
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder
from clrepro.records import RunRecord, load_many
from clrepro.report.any_metric import find_metric, metric_table
from clrepro.sweep import find_home, host, paper_names
from clrepro.sweep.jobs import ARENA


def run(out: Path, records: list[Path], show: bool, into_readmes: bool, metric: str | None = None) -> int:
    """Write the tables and the site behind `<out>/report.html` from the records below `out`, `records` and
    those that came with the papers (papers/*/results/*); a run that is in several counts from the
    first.

    Args: show — open the page in the browser; into_readmes — rewrite the marked tables of the READMEs;
        metric — print this one of all records in place of all that.
    Returns: 0.  Raises: DataError if there is no record or something cannot be written.
    """
    home = find_home()
    if into_readmes and home == BROUGHT:
        raise UsageError("--update-readmes: the READMEs are in a checkout, and this is an installed package")
    folders = [out, *records, *sorted(home.glob("papers/*/results/*/"))]
    if metric is not None:
        return _one_metric(metric, [*folders, home / ARENA])
    tables, problems = tables_from(home, folders)
    for problem in problems:
        host.say(f"left out: {problem}")
    if not tables:
        looked = ", ".join(map(str, [out, *records]))
        raise DataError(f"no finished run below {looked}; make some with: cl-repro reproduce PAPER")
    path = write_report(home, make_folder(out), tables, folders, page_of(home, [out, *records]))
    for table in tables:
        host.show(str(write_table(table, out) / "table.md"))
    host.show(str(path))
    if into_readmes:
        facts = [paper_facts(home, name) for name in paper_names(home)]
        for readme in update_readmes(home, tables, facts):
            host.show(str(readme))
    if show:
        open_page(path)
    return 0


def _one_metric(name: str, folders: list[Path]) -> int:
    """Print one metric of all records; of a run that is in several folders the first counts."""
    find_metric(name)  # before records are read
    found: dict[str, RunRecord] = {}
    for folder in folders:
        for record in load_many(folder)[0]:
            if record.status == "done" and (record.paper, record.profile) != (ARENA, PROFILE):
                found.setdefault(f"{record.paper}/{record.profile}/{record.key}", record)
    table, without = metric_table(name, list(found.values()))
    host.show(table)
    if without:
        host.say(f"{without} runs have no accuracy matrix with all that {name} needs")
    return 0


def open_page(path: Path) -> None:
    """Show the page in the default browser, or say on stderr that there is none."""
    try:
        shown = webbrowser.open(path.resolve().as_uri())
    except webbrowser.Error:
        shown = False
    if not shown:
        host.say(f"no browser found here; open {path.resolve()} in one")
