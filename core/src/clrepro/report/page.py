"""What the page of one paper shows: tables, verdict counts, orderings, figures, cost, where from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clrepro.origin import in_words
from clrepro.report.budget import Budget, seed_budget
from clrepro.report.figures import comparison, learning_curves, memory_curves
from clrepro.report.readme import differences, markdown_html
from clrepro.report.tables import JudgedOrdering, Table
from clrepro.report.training import training_curves
from clrepro.verdicts import CELL_WORDS, ORDERING_WORDS

PROFILE_ORDER = ("full", "quick", "anchor")


@dataclass(frozen=True)
class Offer:
    """A profile that can be run: how many rows and runs, how long on one core, with which data."""

    profile: str
    rows: int
    runs: int
    time: str
    data_note: str = ""


@dataclass(frozen=True)
class PaperFacts:
    """What is known of a paper without any run.

    name: of its folder; label: of its method; place: in the order of reading, 0 for none; readme: the text of
    its README file.
    """

    name: str
    title: str
    metrics: Mapping[str, str]
    notes: Sequence[str] = ()
    offers: Sequence[Offer] = ()
    readme: str = ""
    label: str = ""
    place: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or self.name)

    @property
    def order(self) -> tuple[bool, int, str]:
        """What papers are sorted by: those without a place come last, by name."""
        return (not self.place, self.place, self.name)


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
    """What is shown of one paper's profile.

    hours: processor hours, nan if no run recorded any; made: when, in words; code: commit, processor and
    threads; software, data: in words.
    """

    id: str
    table: Table
    counts: dict[str, int]
    ordering_counts: dict[str, int]
    claims: tuple[ClaimGroup, ...]
    figures: tuple[FigureGroup, ...]
    budget: Budget
    runs: int
    seeds: str
    hours: float
    made: str
    code: str
    software: str
    data: str


@dataclass(frozen=True)
class PaperPage:
    """One paper: its profiles with records, the full one first, and those that could still be run."""

    facts: PaperFacts
    sections: tuple[Section, ...]
    waiting: tuple[Offer, ...]
    differences_heading: str
    differences_html: str = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Verdict word to cells of all profiles."""
        return added([section.counts for section in self.sections], CELL_WORDS)


def paper_page(facts: PaperFacts, tables: Sequence[Table], made: Mapping[tuple[str, str], str]) -> PaperPage:
    """Returns the content of a paper's page.  Args: made — (paper, profile) to when its records were made."""
    own = sorted((table for table in tables if table.paper == facts.name), key=_place)
    sections = tuple(_section(table, made.get((table.paper, table.profile), "")) for table in own)
    have = {table.profile for table in own}
    heading, text = differences(facts.readme)
    return PaperPage(
        facts,
        sections,
        tuple(offer for offer in facts.offers if offer.profile not in have),
        heading,
        markdown_html(text, heading),
    )


def facts_of(table: Table) -> PaperFacts:
    """What a table itself says of its paper, for papers that this checkout lacks."""
    return PaperFacts(table.paper, table.title, table.metrics, table.notes)


def added(counts: Sequence[Mapping[str, int]], words: Sequence[str]) -> dict[str, int]:
    """The sums of several counts, those that are not zero, in the order of `words`."""
    sums = {word: sum(each.get(word, 0) for each in counts) for word in words}
    return {word: n for word, n in sums.items() if n}


def _place(table: Table) -> tuple[int, str]:
    known = table.profile in PROFILE_ORDER
    return (PROFILE_ORDER.index(table.profile) if known else len(PROFILE_ORDER), table.profile)


def _section(table: Table, made: str) -> Section:
    groups = []
    for name, counts in table.ordering_counts().items():
        own = tuple(one for one in table.orderings if one.claim.claim == name)
        groups.append(ClaimGroup(name, added([counts], ORDERING_WORDS), own))
    return Section(
        id=table.profile,
        table=table,
        counts=added([table.counts()], CELL_WORDS),
        ordering_counts=added([group.counts for group in groups], ORDERING_WORDS),
        claims=tuple(groups),
        figures=_figures(table),
        budget=seed_budget(table),
        runs=sum(row.n for row in table.rows),
        seeds=_range([row.n for row in table.rows]),
        hours=_processor_hours(table),
        made=made,
        code=in_words(record.origin for record in table.records),
        software=_software(table),
        data=_data(table),
    )


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _processor_hours(table: Table) -> float:
    known = [record.cost["cpu_s"] for record in table.records if "cpu_s" in record.cost]
    return sum(known) / 3600 if known else math.nan


def _software(table: Table) -> str:
    """ "python 3.11.7, numpy 2.4.6 on Linux x86_64"; what differs between records is named with "or"."""
    found: dict[str, dict[str, None]] = {}
    for record in table.records:
        for name, version in record.versions.items():
            found.setdefault(name, {})[version] = None
    machine = " or ".join(found.pop("machine", {}))
    names = sorted(found, key=lambda name: (name != "python", name != "cl-repro", name))
    text = ", ".join(f"{name} {' or '.join(found[name])}" for name in names)
    return f"{text} on {machine}" if machine else text


def _data(table: Table) -> str:
    """Names of the data sets or files that the records name."""
    names = {str(record.data.get("name") or record.data.get("file") or "") for record in table.records}
    return ", ".join(sorted(names - {""}))


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
    bands = "bands: ± one standard deviation over seeds"
    groups = [
        ("Memory size", f"Mean and 95 % interval; dashed: no memory; diamonds: reference; {frame}.", memory),
        ("Methods side by side", f"Mean and 95 % interval; diamonds: reference; {frame}.", bars),
        ("Along the sequence", f"Mean over the tasks seen so far; {bands}.", curves),
        ("While training", f"Mean over seeds; {bands}; dotted: the next task begins.", training),
    ]
    return tuple(
        FigureGroup(heading, caption, tuple(figures)) for heading, caption, figures in groups if figures
    )
