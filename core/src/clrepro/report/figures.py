"""Figures as SVG text: methods side by side with intervals and references, and accuracy along the task
sequence.
"""

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from clrepro.report.tables import Row, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, GRID, OURS, REFERENCE = "#5b6470", "#8a93a033", "#2f6fde", "#d9822b"


def comparison(table: Table, metric: str) -> dict[str, str]:
    """Returns setting to an SVG: our mean and 95 % interval of every method, and the reference where there
    is one.
    """
    settings: dict[str, list[Row]] = {}
    for row in table.rows:
        settings.setdefault(row.setting, []).append(row)
    return {name: _dots(rows, metric, name) for name, rows in settings.items() if len(rows) > 1}


def _dots(rows: list[Row], metric: str, title: str) -> str:
    figure, axes = _figure(0.34 * len(rows) + 0.9)
    for place, row in enumerate(reversed(rows)):
        cell = next(cell for cell in row.cells if cell.metric == metric)
        if not cell.values:
            continue
        mean, low, high = cell.interval.mean, cell.interval.low, cell.interval.high
        if not math.isnan(low):
            axes.plot(
                [low, high], [place, place], color=OURS, linewidth=3, alpha=0.45, solid_capstyle="round"
            )
        axes.plot(mean, place, "o", color=OURS, markersize=6)
        if cell.claim is not None and cell.claim.reference is not None:
            axes.plot(cell.claim.reference.value, place, "D", color=REFERENCE, markersize=5, fillstyle="none")
    axes.set_yticks(range(len(rows)), [row.method for row in reversed(rows)])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel(f"{metric}, %   (● ours with 95 % interval, ◇ reference)")
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    return _svg(figure, f"{title}/{metric}")


def learning_curves(table: Table, setting: str) -> str | None:
    """Returns an SVG of mean accuracy over the tasks seen so far, against tasks seen; None if R was not kept
    whole.
    """
    curves: dict[str, list[Any]] = {}
    for record in table.records:
        if record.setting != setting or "R" not in record.series or record.status != "done":
            continue
        r = np.asarray(record.series["R"], np.float64)
        order = [int(t) for t in record.series.get("order", range(len(r)))]
        curve = [float(np.mean(r[p, order[: p + 1]])) for p in range(len(r))]
        if not np.isnan(curve).any():
            curves.setdefault(record.method, []).append(curve)
    if not curves:
        return None
    figure, axes = _figure(3.2)
    for method, runs in curves.items():
        mean = 100 * np.mean(runs, axis=0)
        axes.plot(np.arange(1, len(mean) + 1), mean, linewidth=1.6, label=method)
    axes.set_xlabel("tasks seen")
    axes.set_ylabel("accuracy on tasks seen, %")
    axes.set_title(setting, loc="left", fontsize=10, color=INK)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _svg(figure, f"{setting}/curves")


def _figure(height: float) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.tick_params(colors=INK, length=0)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(axis="x", color=GRID)
    return figure, axes


def _svg(figure: "Figure", name: str) -> str:
    """The figure as SVG text, transparent for light and dark pages; no dates, and ids that follow from its
    name.
    """
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
