"""Figures of what a run did while it trained, of records that hold such a series.

Known are `overall`, the accuracy on the tasks seen after each epoch, and two pairs with a list per task:
`reward_steps` and `rewards`, mean rewards of stretches of training and where they ended; `curve_steps` and
`curve_returns`, the returns of control rollouts.  The first pair that a record holds is drawn.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.records import RunRecord
from clrepro.report.figures import look, rows_shown
from clrepro.report.plot_style import GRID, INK, legend, new_figure, svg_text
from clrepro.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_POINTS = 3  # fewer are no curve
PAIRS = {  # (steps, values) by the words on the axis
    "reward per step while training": ("reward_steps", "rewards"),
    "return of control rollouts": ("curve_steps", "curve_returns"),
}

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def training_curves(table: Table, setting: str) -> str | None:
    """Returns an SVG, a line per method: the mean over seeds, bands ± one standard deviation.

    Dotted lines: where the next task begins.  None if no record of the setting holds a known series of
    at least three points.
    """
    wanted = {(row.setting, row.method) for row in rows_shown(table, setting)}
    runs: dict[str, list[Curve]] = {}
    borders: list[float] = []
    for record in table.records:
        if (record.setting, record.method) in wanted and record.status == "done":
            if (found := _curve(record)) is not None:
                runs.setdefault(record.method, []).append(found[:2])
                borders = found[2]
    if not runs:
        return None
    figure, axes = new_figure(3.4)
    for at in borders:
        axes.axvline(at, color=INK, linewidth=0.7, alpha=0.5, linestyle=(0, (1, 3)))
    for method, curves in runs.items():
        _line(axes, table, method, curves)
    epochs = any("overall" in record.series for record in table.records)
    axes.set_xlabel("epochs" if epochs else "environment steps")
    axes.set_ylabel("accuracy on tasks seen, %" if epochs else _drawn_pair(table.records[0]))
    axes.grid(axis="y", color=GRID)
    legend(axes)
    return svg_text(figure, f"{table.paper}/{table.profile}/{setting}/training")


def _line(axes: Any, table: Table, method: str, curves: "Sequence[Curve]") -> None:
    """One method's mean and band; runs of another length than the first are left out."""
    x = curves[0][0]
    y = np.array([values for steps, values in curves if np.array_equal(steps, x)])
    style = {**look(table, method), "marker": ""}
    axes.plot(x, y.mean(axis=0), linewidth=1.4, **style)
    if len(y) > 1:
        mean, sd = y.mean(axis=0), y.std(axis=0, ddof=1)
        axes.fill_between(x, mean - sd, mean + sd, color=style["color"], alpha=0.15, linewidth=0)


def _curve(record: RunRecord) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]] | None:
    """(x, y, where tasks begin) of a record's series; None if it has none, or one with gaps."""
    if "overall" in record.series:
        y = 100 * np.asarray(record.series["overall"], np.float64)
        n_tasks = len(record.series.get("order", ()))
        ends = [len(y) * k / n_tasks + 0.5 for k in range(1, n_tasks)]
        return _whole(np.arange(1.0, len(y) + 1), y, ends)
    steps_name, values_name = PAIRS.get(_drawn_pair(record), ("", ""))
    at: list[float] = []
    seen: list[float] = []
    ends, begun = [], 0.0
    pairs = zip(record.series.get(steps_name, []), record.series.get(values_name, []), strict=False)
    for steps, values in pairs:
        if len(steps) != len(values) or not steps:
            return None
        at += [begun + step for step in steps]
        seen += values
        begun += max(steps)
        ends.append(begun)
    return _whole(np.array(at, np.float64), np.array(seen, np.float64), ends[:-1])


def _drawn_pair(record: RunRecord) -> str:
    """The words for the pair of series that is drawn of `record`; empty if it has none."""
    return next((words for words, names in PAIRS.items() if set(names) <= set(record.series)), "")


def _whole(
    x: NDArray[np.float64], y: NDArray[np.float64], ends: list[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[float]] | None:
    good = x.ndim == 1 and len(x) == len(y) >= FEWEST_POINTS and bool(np.isfinite(y).all())
    return (x, y, ends) if good else None
