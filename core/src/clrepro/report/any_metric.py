"""One metric over all papers: computed from the accuracy matrices that records hold, without training."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import UsageError
from clrepro.metrics import continual
from clrepro.metrics.matrix import in_order
from clrepro.metrics.stats import mean_sd
from clrepro.records import RunRecord
from clrepro.report.tables import minus

Matrix = NDArray[np.float64]
METRICS: dict[str, Callable[[Matrix], float]] = {
    function.__name__: function
    for function in (
        continual.average_accuracy, continual.learning_accuracy, continual.backward_transfer,
        continual.backward_transfer_over_all, continual.forgetting, continual.forgetting_with_last,
        continual.forgetting_over_all,
    )
}  # fmt: skip


def find_metric(name: str) -> Callable[[Matrix], float]:
    """Returns the metric of that name.  Raises: UsageError, listing those there are."""
    if name not in METRICS:
        raise UsageError(f"--metric {name!r}: one of {', '.join(METRICS)}")
    return METRICS[name]


def metric_table(name: str, records: Sequence[RunRecord]) -> tuple[str, int]:
    """Returns (a Markdown table of a metric, a row per paper, profile, setting and method; how many records
    hold no matrix that it can be computed from).

    Raises: UsageError for an unknown metric, listing those there are.
    """
    metric = find_metric(name)
    rows: dict[tuple[str, str, str, str], list[float]] = {}
    without = 0
    for record in records:
        matrix = matrix_of(record)
        value = metric(matrix) if matrix is not None else float("nan")
        if np.isfinite(value):
            rows.setdefault((record.paper, record.profile, record.setting, record.method), []).append(value)
        else:
            without += 1
    lines = [f"| paper | profile | setting | method | n | {name} % |", "|---|---|---|---|---:|---:|"]
    for key, values in sorted(rows.items()):
        mean, sd = mean_sd(values)
        spread = f" ± {100 * sd:.2f}" if len(values) > 1 else ""
        lines.append(f"| {' | '.join(key)} | {len(values)} | {minus(f'{100 * mean:.2f}')}{spread} |")
    return "\n".join(lines), without


def matrix_of(record: RunRecord) -> Matrix | None:
    """Returns R (T, T) of a record in order of presentation; None if it holds none, or not of accuracies.

    A record of epochs, "a" (E, T) with nan for tasks not seen, gives the rows in which tasks end, if they
    came one after the other.
    """
    series = record.series
    name = "R" if "R" in series else "a"
    try:
        values = np.asarray(series[name], np.float64)
    except (KeyError, ValueError):
        return None
    if values.ndim != 2 or np.nanmax(values, initial=0.0) > 1 or np.nanmin(values, initial=1.0) < 0:
        return None  # returns of reinforcement learning
    if name == "a":
        return _ends(values)
    order = np.asarray(series.get("order", range(len(values))), np.int64)
    square = values.shape[0] == values.shape[1] == len(order)
    return in_order(values, list(order)) if square else None


def _ends(epochs: Matrix) -> Matrix | None:
    seen = ~np.isnan(epochs)
    first = seen.argmax(axis=0)
    if not seen.any(axis=0).all() or (np.diff(first) <= 0).any():
        return None
    return np.asarray(epochs[[*(first[1:] - 1), len(epochs) - 1]])
