"""The report as a small site of files: an overview, a page per paper, one on speed and one on faults.

It lies in `<out>/report/`; `<out>/report.html` leads to its first page.  Links are relative, style and script
are two files beside the pages, and figures are inline SVG.  Each page's content security policy allows no
other request than for these two files, so the folder works from disk, on another machine and on a server.
All of it can be read without scripts.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from clrepro import __version__
from clrepro.bench.benchmark import human
from clrepro.claims import STATUSES
from clrepro.io.atomic import make_folder, remove_temporaries, write_atomically
from clrepro.io.lock import hold_lock
from clrepro.metrics.stats import MOST_SEEDS
from clrepro.report.arena import ArenaPage
from clrepro.report.arena_table import NOTE
from clrepro.report.bench_results import Bench, Faults
from clrepro.report.budget import reproduce_command
from clrepro.report.exports import table_json
from clrepro.report.page import PaperFacts, PaperPage, added, facts_of, paper_page
from clrepro.report.tables import Table, duration, minus
from clrepro.verdicts import CELL_WORDS, ORDERING_WORDS

START, FOLDER = "report.html", "report"
LOCK, PATIENCE_S = ".report.lock", 60.0
ASSETS = ("report.css", "report.js")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NAMES_OF_PAGES = ("index", "arena", "bench", "faults")  # a paper of one of these names would be overwritten


@dataclass(frozen=True)
class Measured:
    """bench.json and faults.json as far as they are there; problem: why one that is there cannot be used."""

    bench: Bench | None = None
    faults: Faults | None = None
    bench_problem: str = ""
    faults_problem: str = ""


def write_site(
    out: Path,
    tables: Sequence[Table],
    papers: Sequence[PaperFacts] = (),
    made: Mapping[tuple[str, str], str] | None = None,
    measured: Measured | None = None,
    arena: ArenaPage | None = None,
) -> Path:
    """Write the site below `out`.  Returns: `<out>/report.html`, which leads to it.

    Args: papers — all papers that are to be shown, with runs or without; those of the tables come beside
        them; made — (paper, profile) to when its records were made, in words; arena — of the arena.
    Raises: DataError if it cannot be written.
    """
    folder = make_folder(out / FOLDER)
    pages = _papers(tables, papers, made or {})
    with hold_lock(out / LOCK, patience_s=PATIENCE_S):  # two sweeps may end at the same time
        remove_temporaries(folder)  # of a killed one
        remove_temporaries(out, top_only=True)
        _write(out, folder, tables, _html(pages, measured or Measured(), arena))
        (out / LOCK).unlink(missing_ok=True)
    return out / START


def _write(out: Path, folder: Path, tables: Sequence[Table], pages: Mapping[str, str]) -> None:
    """Write all files; the one that leads to the others is the last."""
    for name in ASSETS:
        write_atomically(folder / name, files("clrepro.report").joinpath("templates", name).read_bytes())
    data = make_folder(folder / "data")
    for table in tables:
        write_atomically(data / f"{table.paper}-{table.profile}.csv", table.csv().encode())
        write_atomically(data / f"{table.paper}-{table.profile}.json", table_json(table).encode())
    for name, text in pages.items():
        write_atomically(folder / f"{name}.html", text.encode())
    start = _environment().get_template("start.html.j2").render(target=f"{FOLDER}/index.html")
    write_atomically(out / START, start.encode())


def _papers(
    tables: Sequence[Table], papers: Sequence[PaperFacts], made: Mapping[tuple[str, str], str]
) -> list[PaperPage]:
    """All papers in the order of reading; of one that is given and has tables, what was given counts."""
    known = {table.paper: facts_of(table) for table in tables} | {facts.name: facts for facts in papers}
    shown = [facts for facts in known.values() if facts.name not in NAMES_OF_PAGES]
    return [paper_page(facts, tables, made) for facts in sorted(shown, key=lambda facts: facts.order)]


def _html(pages: Sequence[PaperPage], measured: Measured, arena: ArenaPage | None) -> dict[str, str]:
    """Name of each page to its text."""
    environment = _environment()
    sections = [section for page in pages for section in page.sections]
    shared: dict[str, Any] = {
        "papers": pages,
        "cell_words": CELL_WORDS,
        "statuses": STATUSES,
        "version": __version__,
        "measured": measured,
        "arena": arena,
        "cells": added([section.counts for section in sections], CELL_WORDS),
        "orderings": added([section.ordering_counts for section in sections], ORDERING_WORDS),
        "runs": sum(section.runs for section in sections),
        "hours": _sum_known(section.hours for section in sections),
    }

    def page(template: str, here: str, **words: Any) -> str:
        return environment.get_template(template).render(**shared, here=here, **words)

    pictures = _pictures(measured.bench)
    return {
        "index": page("overview.html.j2", "index"),
        **{one.facts.name: page("paper.html.j2", one.facts.name, paper=one) for one in pages},
        "bench": page("bench.html.j2", "bench", **pictures),
        "faults": page("faults.html.j2", "faults"),
        **({"arena": page("arena.html.j2", "arena", note=NOTE)} if arena is not None else {}),
    }


def _pictures(bench: Bench | None) -> dict[str, Any]:
    """Figures of the bench page: ratios by paper, and (scaling, SVG) pairs; none without matplotlib."""
    if bench is None:
        return {"ratios": {}, "scalings": []}
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return {"ratios": {}, "scalings": []}
    from clrepro.report.speed import ratio_bars, scaling_lines

    names = dict.fromkeys(row.paper for row in bench.rows)
    rated = {name: [row for row in bench.rows if row.paper == name and row.ratio] for name in names}
    ratios = {name: ratio_bars(name, rows) for name, rows in rated.items() if rows}
    return {"ratios": ratios, "scalings": [(one, scaling_lines(one)) for one in bench.scaling]}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("clrepro.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "unit_time": human,
        "slug": lambda word: str(word).replace(" ", "-"),
        "minus": minus,
        "duration": _hours,
        "figures": _figures,
        "seconds": _seconds,
        "day_and_hour": _day_and_hour,
        "unbroken": _unbroken,
    }
    environment.filters.update(filters)
    environment.globals |= {"reproduce_command": reproduce_command, "most_seeds": MOST_SEEDS}
    return environment


def _unbroken(command: str) -> Markup:
    """A command whose words with hyphens are not broken at them, unless one is wider than the line."""
    words = re.split(r"(\s+)", command)
    return Markup("").join(
        Markup("<span>{}</span>").format(word) if "-" in word else escape(word) for word in words
    )


def _day_and_hour(moment: str) -> str:
    """ "21 November 2026, 17:00 UTC" of a time as ISO 8601; the day alone where it says no more."""
    when = datetime.fromisoformat(moment)
    day = f"{when.day} {when:%B %Y}"
    return day if len(moment) <= len("2026-11-21") else f"{day}, {when:%H:%M} {when.tzname() or ''}".rstrip()


def _figures(number: float) -> str:
    """Three significant figures, powers of ten written as such."""
    if number >= 1000:
        return f"{number:,.0f}"
    if number == 0 or number >= 0.001:
        return f"{number:.3g}"
    digits, _, power = f"{number:.2e}".partition("e")
    return f"{float(digits):g}·10{str(int(power)).translate(SUPERSCRIPTS)}"


def _hours(hours: float) -> str:
    """Hours in words, also of those that are not known or too few to count."""
    if math.isnan(hours):
        return "?"
    return "< 1 min" if 0 < hours < 0.5 / 60 else duration(hours)


def _seconds(seconds: float) -> str:
    """A duration with the unit a person reads easily."""
    return f"{seconds:.3g} s" if seconds < 120 else duration(seconds / 3600)


def _sum_known(hours: Iterable[float]) -> float:
    return sum(each for each in hours if not math.isnan(each))
