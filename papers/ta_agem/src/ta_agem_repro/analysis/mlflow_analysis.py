"""`mlflow_analysis.py`: experiments in MLflow side by side, per task type."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.errors import DataError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.metrics.stats import mean_sd
from clrepro.settings import add_flags, given, option
from ta_agem_repro import tracking
from ta_agem_repro.pages import write_page
from ta_agem_repro.program import Parser, Program
from ta_agem_repro.settings import TASK_TYPES

Curves = dict[tuple[str, str], list[list[float]]]  # (experiment, task type) -> one curve per run


@dataclass(frozen=True)
class Command:
    """A command line."""

    experiments: tuple[str, ...]
    task_type: str | None = None
    output_dir: Path | None = option(None, "write curves (HTML) and numbers (CSV) here", parse=Path)
    metric: str = option("overall_accuracy", "curve to compare")


def parser() -> Parser:
    """Returns the parser."""
    out = Parser(prog="mlflow_analysis.py", description="Compare MLflow experiments by task type.")
    out.add_argument("-e", "--experiments", nargs="+", required=True, metavar="NAME", help="experiments")
    out.add_argument("-t", "--task_type", choices=TASK_TYPES, help="only this task type")
    add_flags(out, Command)
    return out


def parse(argv: Sequence[str] | None) -> Command:
    """Returns what a command line says.  Raises: UsageError for a wrong flag or value."""
    flags = vars(parser().parse_args(argv))
    return Command(**given(Command, flags) | {"experiments": tuple(flags["experiments"])})


def run(command: Command) -> None:
    """Compare the experiments.  Raises: DataError if the store or an experiment is not there."""
    try:
        curves = fetch(command.experiments, command.metric, command.task_type)
    except tracking.StoreProblem as problem:
        raise DataError(f"MLflow: {problem}") from None
    rows = table(curves)
    for row in rows:
        print("  ".join(row))
    if command.output_dir is not None:
        folder = make_folder(command.output_dir)
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        write_atomically(folder / f"{command.metric}.csv", text.getvalue().encode())
        write_page(figure(curves, command.metric), folder / f"{command.metric}.html")
        print(f"written: {folder / command.metric}.csv, .html")


def fetch(names: Sequence[str], metric: str, task_type: str | None) -> Curves:
    """Returns the curves of a metric of every finished run, by experiment and task type.

    Raises: DataError for an experiment that is not there, or if no run has the metric.
    """
    connection = tracking.client()
    out: Curves = {}
    with tracking.patient():
        for name in names:
            found = connection.get_experiment_by_name(name)
            if found is None:
                known = ", ".join(sorted(e.name for e in connection.search_experiments()))
                raise DataError(f"experiment {name!r}: not in {tracking.store()}; there are {known}")
            for run in connection.search_runs([found.experiment_id], "attributes.status = 'FINISHED'"):
                kind = run.data.tags.get("task_type", "unknown")
                history = connection.get_metric_history(run.info.run_id, metric)
                if history and task_type in (None, kind):
                    points = sorted(history, key=lambda point: point.step)
                    out.setdefault((name, kind), []).append([point.value for point in points])
    if not out:
        raise DataError(f"no finished run with the metric {metric!r} in {', '.join(names)}")
    return out


def table(curves: Mapping[tuple[str, str], list[list[float]]]) -> list[list[str]]:
    """Returns rows of text: experiment, task type, runs, mean ± sd of the last value and of the mean one."""
    rows = [["experiment", "task type", "runs", "final", "average"]]
    for (name, kind), runs in sorted(curves.items()):
        cells = []
        for values in ([run[-1] for run in runs], [float(np.mean(run)) for run in runs]):
            mean, sd = mean_sd(np.array(values))
            cells.append(f"{mean:.4f} ± {sd:.4f}" if len(values) > 1 else f"{mean:.4f}")
        rows.append([name, kind, str(len(runs)), *cells])
    return rows


def figure(curves: Mapping[tuple[str, str], list[list[float]]], metric: str) -> Any:
    """Returns the mean curve of every experiment and task type, as far as all its runs go."""
    from plotly import graph_objects as go

    from ta_agem_repro.figures import colour

    out = go.Figure()
    for place, ((name, kind), runs) in enumerate(sorted(curves.items())):
        shared = min(map(len, runs))
        mean = np.mean([run[:shared] for run in runs], axis=0).tolist()
        out.add_trace(go.Scatter(y=mean, name=f"{name}, {kind}, n = {len(runs)}", line_color=colour(place)))
    return out.update_layout(
        title=metric, xaxis_title="evaluation", yaxis_title=metric, template="plotly_white"
    )


MAIN = Program("mlflow_analysis.py", parse=parse, run=run)
main = MAIN.main
