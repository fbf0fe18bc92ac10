"""One offline HTML page for all papers: overview, tables, orderings, figures, commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from clrepro import __version__
from clrepro.errors import DataError
from clrepro.report.figures import comparison, learning_curves
from clrepro.report.tables import LEGEND, Table
from clrepro.runs import write_atomically

_CLASSES = {"reproduced", "differs", "inconclusive", "holds", "fails"}


@dataclass(frozen=True)
class Section:
    """What the template shows of one paper and profile."""

    id: str
    table: Table
    hours: float
    figures: tuple[str, ...]


def write_page(path: Path, tables: Sequence[Table]) -> Path:
    """Write the page for these tables; it needs no other file and no network.  Returns its path.

    Raises: DataError if it cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("clrepro.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["word_class"] = lambda word: word if word in _CLASSES else "none"
    sections = [_section(table) for table in tables]
    html = environment.get_template("page.html.j2").render(
        papers=sections, legend=LEGEND, version=__version__
    )
    write_atomically(path, html.encode())
    return path


def _section(table: Table) -> Section:
    hours = sum(record.cost.get("wall_s", 0.0) for record in table.records) / 3600
    return Section(f"{table.paper}-{table.profile}", table, hours, _figures(table))


def _figures(table: Table) -> tuple[str, ...]:
    """SVGs of the first metric, setting by setting; none where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return ()
    bars = comparison(table, next(iter(table.metrics)))
    curves = [learning_curves(table, setting) for setting in dict.fromkeys(row.setting for row in table.rows)]
    return (*bars.values(), *(curve for curve in curves if curve))


def readme_block(text: str, markdown: str, name: str) -> str:
    """Returns a README's text with the part between its two markers of this name replaced.

    The markers are `<!-- results:NAME -->` and `<!-- /results:NAME -->`.  Raises: DataError if they are not
    there.
    """
    start, end = f"<!-- results:{name} -->", f"<!-- /results:{name} -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise DataError(f"the text needs the markers {start} and {end}, once each and in this order")
    return text[: text.index(start) + len(start)] + "\n" + markdown.strip() + "\n" + text[text.index(end) :]
