"""The arena's records of some folders, and the site with its page."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from clrepro.cli.outputs import tables_from
from clrepro.cli.site import write_report
from clrepro.errors import UsageError
from clrepro.records import RunRecord, load_many
from clrepro.report.arena import ArenaPage, arena_page
from clrepro.report.site import write_site
from clrepro.sweep import find_home
from clrepro.sweep.jobs import ARENA

SUBJECT = "er"  # the baseline whose verdict is told unless another is asked for


def arena_records(folders: Iterable[Path]) -> list[RunRecord]:
    """Returns the arena's records below some folders, trials left out; of several of a run the first."""
    found: dict[tuple[str, str], RunRecord] = {}
    for folder in folders:
        for record in load_many(folder)[0]:
            if record.paper == ARENA and record.profile != "trials":
                found.setdefault((record.profile, record.key), record)
    return sorted(found.values(), key=lambda r: (r.profile, r.setting, r.method, r.seed))


def page_of(home: Path | None, folders: Sequence[Path]) -> ArenaPage | None:
    """Returns the arena's page from records below some folders and those of the checkout."""
    places = [*folders, *([home / ARENA] if home is not None and (home / ARENA).is_dir() else [])]
    return arena_page(arena_records(places), SUBJECT)


def write_arena(out: Path, subject: str, records: Sequence[RunRecord]) -> Path:
    """Write the site below `out` with the arena's page of these records, and the papers' if there are any.

    Returns: `<out>/report/arena.html`.  Raises: DataError if it cannot be written.
    """
    page = arena_page(records, subject)
    try:
        home = find_home()
    except UsageError:  # an installed package: there is no checkout
        write_site(out, [], arena=page)
    else:
        write_report(home, out, tables_from(home, [out])[0], [out], page)
    return out / "report" / "arena.html"
