"""Tables that several programs write."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

COLUMNS = ("run", "method", "A", "F", "F_signed", "LA", "BWT", "seconds")


def matrix_csv(values: Any) -> str:
    """Returns a matrix as CSV, empty where it is nan."""
    rows = [",".join("" if np.isnan(v) else f"{v:.10g}" for v in row) for row in np.asarray(values, float)]
    return "\n".join(rows) + "\n"


def results_csv(method: str, runs: Iterable[tuple[Mapping[str, float], float]]) -> str:
    """Returns results.csv: one row per run, from its metrics and its seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, (metrics, seconds) in enumerate(runs, 1):
        cells = [metrics.get(name, "") for name in COLUMNS[2:-1]]
        writer.writerow([number, method, *cells, f"{seconds:.2f}"])
    return text.getvalue()
