"""Figures as SVG text for light and dark pages: metric against memory size, methods side by side, accuracy
along the sequence of tasks.

Every function returns {name of the setting or family: SVG}; a figure that would show nothing is left out.
Colours and markers belong to methods and are the same in all figures of a table.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.metrics.matrix import in_order, seen_average
from clrepro.report.plot_style import COLOURS, GRID, INK, MARKERS, legend, new_figure, svg_text
from clrepro.report.tables import Cell, Row, Table, family

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def memory_curves(table: Table, metric: str) -> dict[str, str]:
    """Returns family to an SVG: the metric against memory size, a line per method, references as diamonds.

    Methods without a memory are dashed lines.  Families with fewer than two memory sizes are left out.
    """
    figures = {}
    for name in dict.fromkeys(family(row.setting) for row in table.rows):
        rows = [row for row in table.rows if family(row.setting) == name and _cell(row, metric).values]
        sizes = sorted({size for row in rows if (size := _memory(row)) is not None})
        if len(sizes) > 1:
            figures[name] = _memory_figure(table, rows, sizes, metric, f"{name}/{metric}/memory")
    return figures


def comparison(table: Table, metric: str) -> dict[str, str]:
    """Returns setting to an SVG: mean and 95 % interval of every method, references as diamonds.

    Methods that run without the setting's memory ("rotations" for "rotations/500") are shown beside the rest.
    """
    settings = list(dict.fromkeys(row.setting for row in table.rows))
    figures = {}
    for setting in settings:
        if any(other != setting and family(other) == setting for other in settings):
            continue  # shown in every figure of its family
        rows = [row for row in rows_shown(table, setting) if _cell(row, metric).values]
        if len(rows) > 1:
            figures[setting] = _dots(table, rows, metric, f"{setting}/{metric}")
    return figures


def learning_curves(table: Table, setting: str) -> str | None:
    """Returns an SVG of mean accuracy over the tasks seen so far, against tasks seen; None if R was not kept
    whole.  Bands are ± one standard deviation over seeds.
    """
    wanted = {(row.setting, row.method) for row in rows_shown(table, setting)}
    curves: dict[str, list[NDArray[np.float64]]] = {}
    for record in table.records:
        if (record.setting, record.method) not in wanted or "R" not in record.series:
            continue
        r = np.asarray(record.series["R"], np.float64)
        curve = seen_average(in_order(r, record.series.get("order", range(len(r)))))
        if record.status == "done" and np.isfinite(curve).all():
            curves.setdefault(record.method, []).append(curve)
    if not curves:
        return None
    figure, axes = new_figure(3.4)
    for method, found in curves.items():
        runs = [run for run in found if len(run) == len(found[0])]  # a family's settings may differ in tasks
        mean = 100 * np.mean(runs, axis=0)
        steps = np.arange(1, len(mean) + 1)
        every = max(1, len(mean) // 8)
        axes.plot(steps, mean, linewidth=1.5, markersize=4, markevery=every, **look(table, method))
        if len(runs) > 1:
            sd = 100 * np.std(runs, axis=0, ddof=1)
            colour = look(table, method)["color"]
            axes.fill_between(steps, mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("tasks seen")
    accuracies = any("accuracy" in caption for caption in table.metrics.values())
    axes.set_ylabel("accuracy on tasks seen, %" if accuracies else "mean over tasks seen")
    axes.grid(axis="y", color=GRID)
    legend(axes)
    return _svg(figure, table, f"{setting}/curves")


def _memory_figure(table: Table, rows: list[Row], sizes: list[int], metric: str, name: str) -> str:
    figure, axes = new_figure(3.4)
    heights: list[float] = []
    with_memory = list(dict.fromkeys(row.method for row in rows if _memory(row) is not None))
    for i, method in enumerate(with_memory):
        shift = 0.22 * (i / max(len(with_memory) - 1, 1) - 0.5)  # side by side, so that intervals can be seen
        own = sorted((row for row in rows if row.method == method), key=lambda row: _memory(row) or 0)
        cells = [_cell(row, metric) for row in own]
        x = [sizes.index(_memory(row) or 0) + shift for row in own]
        style = look(table, method)
        axes.plot(x, [cell.interval.mean for cell in cells], linewidth=1.5, markersize=5, **style)
        for at, cell in zip(x, cells, strict=True):
            _interval(axes, cell, at, style["color"], upright=True)
            if (target := _target(cell)) is not None:
                axes.plot(at, target, "D", color=style["color"], markersize=8, fillstyle="none")
        heights += [number for cell in cells for number in _shown(cell)]
    for row in rows:
        if _memory(row) is None:
            cell = _cell(row, metric)
            style = {**look(table, row.method), "marker": ""}
            axes.axhline(cell.interval.mean, linewidth=1.2, linestyle=(0, (4, 3)), **style)
            heights += _shown(cell)
    axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    axes.set_ylim(*_limits(heights))
    axes.set_xlabel("memory size")
    axes.set_ylabel(_labelled(table, metric))
    axes.grid(axis="y", color=GRID)
    legend(axes)
    return _svg(figure, table, name)


def _dots(table: Table, rows: list[Row], metric: str, name: str) -> str:
    figure, axes = new_figure(0.29 * len(rows) + 0.7)
    numbers: list[float] = []
    for place, row in enumerate(reversed(rows)):
        cell = _cell(row, metric)
        colour = look(table, row.method)["color"]
        _interval(axes, cell, place, colour, upright=False)
        axes.plot(cell.interval.mean, place, "o", color=colour, markersize=6)
        if (target := _target(cell)) is not None:
            axes.plot(target, place, "D", color=INK, markersize=8, fillstyle="none")
        numbers += _shown(cell)
    axes.set_yticks(range(len(rows)), [row.method for row in reversed(rows)])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(*_limits(numbers))
    axes.set_xlabel(_labelled(table, metric))
    axes.grid(axis="x", color=GRID)
    return _svg(figure, table, name)


def _interval(axes: Any, cell: Cell, place: float, colour: str, *, upright: bool) -> None:
    low, high = cell.interval.low, cell.interval.high
    if not math.isnan(low):
        x, y = ([place, place], [low, high]) if upright else ([low, high], [place, place])
        axes.plot(x, y, color=colour, linewidth=3, alpha=0.4, solid_capstyle="butt")


def rows_shown(table: Table, setting: str) -> list[Row]:
    """The rows of a setting, and those of its family that need no memory."""
    return [row for row in table.rows if row.setting in (setting, family(setting))]


def _cell(row: Row, metric: str) -> Cell:
    return next(cell for cell in row.cells if cell.metric == metric)


def _memory(row: Row) -> int | None:
    """500 of "rotations/500"; None where the setting names no number."""
    size = row.setting.partition("/")[2]
    return int(size) if size.isdecimal() else None


def _target(cell: Cell) -> float | None:
    return cell.claim.reference.value if cell.claim is not None and cell.claim.reference is not None else None


def _shown(cell: Cell) -> list[float]:
    """The numbers of a cell that must be within the frame: intervals of few seeds may run out of it."""
    target = _target(cell)
    return [cell.interval.mean] if target is None else [cell.interval.mean, target]


def _limits(numbers: Sequence[float]) -> tuple[float, float]:
    finite = [number for number in numbers if math.isfinite(number)] or [0.0]
    low, high = min(finite), max(finite)
    margin = 0.1 * max(high - low, 1.0)
    return low - margin, high + margin


def _labelled(table: Table, metric: str) -> str:
    """The metric with the unit that its caption ends in: "RA, %"."""
    unit = table.metrics[metric].rpartition(", ")[2]
    return f"{metric}, {unit}" if unit in ("%", "points") else metric


def look(table: Table, method: str) -> dict[str, Any]:
    """Colour, marker and label of a method: by its place among the table's methods."""
    i = list(dict.fromkeys(row.method for row in table.rows)).index(method)
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)], "label": method}


def _svg(figure: "Figure", table: Table, name: str) -> str:
    return svg_text(figure, f"{table.paper}/{table.profile}/{name}")
