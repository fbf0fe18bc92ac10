"""One offline HTML page for all papers: overview, tables, orderings, figures, commands.

The page is a single file: style and script stand in it, figures are inline SVG, and its content security
policy forbids every request.  Without scripts all of it can still be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from clrepro import __version__
from clrepro.claims import STATUSES
from clrepro.errors import DataError
from clrepro.report.figures import comparison, learning_curves, memory_curves, training_curves
from clrepro.report.tables import ORDERING_WORDS, JudgedOrdering, Table, duration, minus
from clrepro.runs import write_atomically

CELL_WORDS = ("reproduced", "inconclusive", "differs", "no reference", "no runs")
PROFILE_ORDER = ("full", "quick", "anchor")


@dataclass(frozen=True)
class FigureGroup:
    """Figures of one kind: (what it shows, SVG) each."""

    heading: str
    caption: str
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ClaimGroup:
    """The orderings of one claim and how many of them came out how."""

    name: str
    counts: dict[str, int]
    orderings: tuple[JudgedOrdering, ...]


@dataclass(frozen=True)
class Section:
    """What the template shows of one paper's profile."""

    id: str
    table: Table
    counts: dict[str, int]
    ordering_counts: dict[str, int]
    claims: tuple[ClaimGroup, ...]
    figures: tuple[FigureGroup, ...]


@dataclass(frozen=True)
class Paper:
    """One paper with its profiles, the full one first."""

    name: str
    title: str
    notes: tuple[str, ...]
    metrics: dict[str, str]
    sections: tuple[Section, ...]


def write_page(path: Path, tables: Sequence[Table]) -> Path:
    """Write the page for these tables; it needs no other file and no network.  Returns its path.

    Raises: DataError if it cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("clrepro.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["slug"] = lambda word: word.replace(" ", "-")
    environment.filters["minus"] = minus
    environment.filters["duration"] = duration
    papers = [_paper(name, tables) for name in dict.fromkeys(table.paper for table in tables)]
    html = environment.get_template("page.html.j2").render(
        papers=papers,
        cell_words=CELL_WORDS,
        ordering_words=ORDERING_WORDS,
        statuses=STATUSES,
        version=__version__,
    )
    write_atomically(path, html.encode())
    return path


def _paper(name: str, tables: Sequence[Table]) -> Paper:
    own = sorted((table for table in tables if table.paper == name), key=_place)
    sections = tuple(_section(table) for table in own)
    return Paper(name, own[0].title, own[0].notes, own[0].metrics, sections)


def _place(table: Table) -> tuple[int, str]:
    known = table.profile in PROFILE_ORDER
    return (PROFILE_ORDER.index(table.profile) if known else len(PROFILE_ORDER), table.profile)


def _section(table: Table) -> Section:
    groups = []
    for name, counts in table.ordering_counts().items():
        own = tuple(one for one in table.orderings if one.claim.claim == name)
        groups.append(ClaimGroup(name, _ordered(counts, ORDERING_WORDS), own))
    totals = {word: sum(group.counts.get(word, 0) for group in groups) for word in ORDERING_WORDS}
    return Section(
        id=f"{table.paper}-{table.profile}",
        table=table,
        counts=_ordered(table.counts(), CELL_WORDS),
        ordering_counts=_ordered(totals, ORDERING_WORDS),
        claims=tuple(groups),
        figures=_figures(table),
    )


def _ordered(counts: dict[str, int], words: Sequence[str]) -> dict[str, int]:
    """The counts that are not zero, in the order of `words`."""
    return {word: counts[word] for word in words if counts.get(word)}


def _figures(table: Table) -> tuple[FigureGroup, ...]:
    """All figures of a table; none where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return ()
    memory = [
        (f"{name}: {metric}", svg)
        for metric in table.metrics
        for name, svg in memory_curves(table, metric).items()
    ]
    first = next(iter(table.metrics))
    bars = [(f"{setting}: {first}", svg) for setting, svg in comparison(table, first).items()]
    settings = dict.fromkeys(row.setting for row in table.rows)
    curves = [(setting, svg) for setting in settings if (svg := learning_curves(table, setting))]
    training = [(setting, svg) for setting in settings if (svg := training_curves(table, setting))]
    frame = "intervals of few seeds may run out of the frame"
    groups = [
        ("Memory size", f"Mean and 95 % interval; dashed: no memory; diamonds: reference; {frame}.", memory),
        ("Methods side by side", f"Mean and 95 % interval; diamonds: reference; {frame}.", bars),
        ("Along the sequence", "Mean accuracy on the tasks seen so far; bands: ± one sd over seeds.", curves),
        ("While training", "Mean reward per step; bands: ± one sd over seeds.", training),
    ]
    return tuple(
        FigureGroup(heading, caption, tuple(figures)) for heading, caption, figures in groups if figures
    )


def readme_block(text: str, markdown: str, name: str) -> str:
    """Returns a README's text with the part between its two markers of this name replaced.

    The markers are `<!-- results:NAME -->` and `<!-- /results:NAME -->`.  Raises: DataError if they are not
    there.
    """
    start, end = f"<!-- results:{name} -->", f"<!-- /results:{name} -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise DataError(f"the text needs the markers {start} and {end}, once each and in this order")
    return text[: text.index(start) + len(start)] + "\n" + markdown.strip() + "\n" + text[text.index(end) :]
