"""Figures as SVG text for light and dark pages: metric against memory size, methods side by side, accuracy
along the sequence of tasks.

Every function returns {name of the setting or family: SVG}; a figure that would show nothing is left out.
Colours and markers belong to methods and are the same in all figures of a table.
"""

import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.metrics.matrix import in_order, seen_average
from clrepro.report.tables import Cell, Row, Table, family

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Middle tones: all of them readable on a white and on a nearly black ground.
INK, GRID = "#76808d", "#8a93a038"
COLOURS = (
    *("#3d7fd9", "#d9822b", "#2f9e6e", "#9a6bd1", "#d05a5a", "#2aa3b3", "#c765a5", "#9c8a2c", "#7d8894"),
    *("#5d6bd6", "#b0693f"),
)
MARKERS = "os^DvPX<>p*"
CURVE_POINTS = np.linspace(0.0, 1.0, 41)  # of a task, where training curves of several runs are averaged


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
        rows = [row for row in _rows(table, setting) if _cell(row, metric).values]
        if len(rows) > 1:
            figures[setting] = _dots(table, rows, metric, f"{setting}/{metric}")
    return figures


def learning_curves(table: Table, setting: str) -> str | None:
    """Returns an SVG of mean accuracy over the tasks seen so far, against tasks seen; None if R was not kept
    whole.  Bands are ± one standard deviation over seeds.
    """
    wanted = {(row.setting, row.method) for row in _rows(table, setting)}
    curves: dict[str, list[NDArray[np.float64]]] = {}
    for record in table.records:
        if (record.setting, record.method) not in wanted or "R" not in record.series:
            continue
        if "rewards" in record.series:
            continue  # R holds returns, see `training_curves`
        r = np.asarray(record.series["R"], np.float64)
        curve = seen_average(in_order(r, record.series.get("order", range(len(r)))))
        if record.status == "done" and not np.isnan(curve).any():
            curves.setdefault(record.method, []).append(curve)
    if not curves:
        return None
    figure, axes = _figure(3.4)
    for method, runs in curves.items():
        mean = 100 * np.mean(runs, axis=0)
        steps = np.arange(1, len(mean) + 1)
        every = max(1, len(mean) // 8)
        axes.plot(steps, mean, linewidth=1.5, markersize=4, markevery=every, **_look(table, method))
        if len(runs) > 1:
            sd = 100 * np.std(runs, axis=0, ddof=1)
            colour = _look(table, method)["color"]
            axes.fill_between(steps, mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("tasks seen")
    axes.set_ylabel("accuracy on tasks seen, %")
    axes.grid(axis="y", color=GRID)
    _legend(axes)
    return _svg(figure, table, f"{setting}/curves")


def training_curves(table: Table, setting: str) -> str | None:
    """Returns an SVG of rewards while training, task after task, against environment steps, or None.

    Reads the series `reward_steps` and `rewards`: per task, mean rewards of stretches and where they
    ended.  Bands are ± one standard deviation over seeds; dotted lines: a new task begins.
    """
    wanted = {(row.setting, row.method) for row in _rows(table, setting)}
    runs: dict[str, list[list[NDArray[np.float64]]]] = {}
    ends: NDArray[np.float64] = np.zeros(0)
    for record in table.records:
        known = record.status == "done" and (record.setting, record.method) in wanted
        steps = record.series.get("reward_steps", [])
        if known and steps and all(steps):
            pairs = zip(steps, record.series["rewards"], strict=True)
            own = [np.interp(CURVE_POINTS * at[-1], at, rewards) for at, rewards in pairs]
            runs.setdefault(record.method, []).append(own)
            ends = np.cumsum([at[-1] for at in steps])
    if not runs:
        return None
    figure, axes = _figure(3.4)
    starts = np.concatenate([[0.0], ends[:-1]])
    x = np.concatenate([a + CURVE_POINTS * (b - a) for a, b in zip(starts, ends, strict=True)])
    for method, curves in runs.items():
        whole = np.array([np.concatenate(own) for own in curves if len(own) == len(ends)])
        look = {**_look(table, method), "marker": ""}
        axes.plot(x, whole.mean(axis=0), linewidth=1.5, **look)
        if len(whole) > 1:
            mean, sd = whole.mean(axis=0), whole.std(axis=0, ddof=1)
            axes.fill_between(x, mean - sd, mean + sd, color=look["color"], alpha=0.12, linewidth=0)
    for start in starts[1:]:
        axes.axvline(start, color=INK, linewidth=0.8, linestyle=":")
    axes.set_xlabel("environment steps")
    axes.set_ylabel("reward per step while training")
    axes.grid(axis="y", color=GRID)
    _legend(axes)
    return _svg(figure, table, f"{setting}/training")


def _memory_figure(table: Table, rows: list[Row], sizes: list[int], metric: str, name: str) -> str:
    figure, axes = _figure(3.4)
    heights: list[float] = []
    with_memory = list(dict.fromkeys(row.method for row in rows if _memory(row) is not None))
    for i, method in enumerate(with_memory):
        shift = 0.22 * (i / max(len(with_memory) - 1, 1) - 0.5)  # side by side, so that intervals can be seen
        own = sorted((row for row in rows if row.method == method), key=lambda row: _memory(row) or 0)
        cells = [_cell(row, metric) for row in own]
        x = [sizes.index(_memory(row) or 0) + shift for row in own]
        look = _look(table, method)
        axes.plot(x, [cell.interval.mean for cell in cells], linewidth=1.5, markersize=5, **look)
        for at, cell in zip(x, cells, strict=True):
            _interval(axes, cell, at, look["color"], upright=True)
            if (target := _target(cell)) is not None:
                axes.plot(at, target, "D", color=look["color"], markersize=8, fillstyle="none")
        heights += [number for cell in cells for number in _shown(cell)]
    for row in rows:
        if _memory(row) is None:
            cell = _cell(row, metric)
            look = {**_look(table, row.method), "marker": ""}
            axes.axhline(cell.interval.mean, linewidth=1.2, linestyle=(0, (4, 3)), **look)
            heights += _shown(cell)
    axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    axes.set_ylim(*_limits(heights))
    axes.set_xlabel("memory size")
    axes.set_ylabel(f"{metric}, %")
    axes.grid(axis="y", color=GRID)
    _legend(axes)
    return _svg(figure, table, name)


def _dots(table: Table, rows: list[Row], metric: str, name: str) -> str:
    figure, axes = _figure(0.29 * len(rows) + 0.7)
    numbers: list[float] = []
    for place, row in enumerate(reversed(rows)):
        cell = _cell(row, metric)
        colour = _look(table, row.method)["color"]
        _interval(axes, cell, place, colour, upright=False)
        axes.plot(cell.interval.mean, place, "o", color=colour, markersize=6)
        if (target := _target(cell)) is not None:
            axes.plot(target, place, "D", color=INK, markersize=8, fillstyle="none")
        numbers += _shown(cell)
    axes.set_yticks(range(len(rows)), [row.method for row in reversed(rows)])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(*_limits(numbers))
    axes.set_xlabel(f"{metric}, %")
    axes.grid(axis="x", color=GRID)
    return _svg(figure, table, name)


def _interval(axes: Any, cell: Cell, place: float, colour: str, *, upright: bool) -> None:
    low, high = cell.interval.low, cell.interval.high
    if not math.isnan(low):
        x, y = ([place, place], [low, high]) if upright else ([low, high], [place, place])
        axes.plot(x, y, color=colour, linewidth=3, alpha=0.4, solid_capstyle="butt")


def _rows(table: Table, setting: str) -> list[Row]:
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
    low, high = min(numbers), max(numbers)
    margin = 0.1 * max(high - low, 1.0)
    return low - margin, high + margin


def _look(table: Table, method: str) -> dict[str, Any]:
    """Colour, marker and label of a method: by its place among the table's methods."""
    i = list(dict.fromkeys(row.method for row in table.rows)).index(method)
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)], "label": method}


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _figure(height: float) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.tick_params(colors=INK, length=0)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def _svg(figure: "Figure", table: Table, name: str) -> str:
    """The figure as SVG text, without ground, dates or metadata, and the same for the same figure.

    Ids follow from the table and `name`, and those that nothing refers to are dropped, so that a page can
    hold many figures.
    """
    import matplotlib as mpl

    out = io.StringIO()
    salt = f"{table.paper}/{table.profile}/{name}"
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    used = set(re.findall(r"(?:href=\"|url\()#([^\")]+)", text))
    return re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
