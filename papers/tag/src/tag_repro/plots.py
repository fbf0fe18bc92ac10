"""Figures of accuracy and loss over the sequence of tasks."""

import io

import numpy as np
from numpy.typing import NDArray


def accuracy_figure(table: NDArray[np.float64], label: str) -> bytes:
    """Returns a PNG: one line per task, from the task that taught it on.

    Args: table — (T, T), [after task, on task], nan where not evaluated.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    after = np.arange(1, len(table) + 1)
    for task in range(table.shape[1]):
        axes.plot(after, table[:, task], marker="o", markersize=3, label=f"task {task + 1}")
    axes.set_xlabel("tasks learned")
    axes.set_ylabel(label)
    axes.set_xticks(after)
    if len(table) <= 10:
        axes.legend(fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
