"""Figures of a run, drawn with plotly.

Every function takes a finished `Result` or a `reader.Run`: both have the same fields.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ta_agem_repro.pages import described, facts, write_page

MOST_POINTS = 2000  # of the batch losses; more would only make the page heavy
# Okabe and Ito's colours: told apart with any kind of colour vision.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8F8F8F",
    "#7A4E00",
    "#004D40",
)
WRITTEN = ("per_task_accuracy", "overall_accuracy")


def colour(task: int) -> str:
    """Returns the colour of a task."""
    return COLOURS[task % len(COLOURS)]


def evaluations(run: Any) -> str:
    """Returns what an axis of evaluations counts: epochs, or stretches of so many batches."""
    every = facts(run).get("testing_interval")
    return f"evaluation (every {every} batches, and after each epoch)" if every else "epoch"


def _figure(title: str, x: str, y: str, accuracy: bool = False) -> Any:
    from plotly import graph_objects as go

    out = go.Figure()
    out.update_layout(
        title=title, xaxis_title=x, yaxis_title=y, template="plotly_white", hovermode="x unified",
        legend_title_text="task", margin={"l": 70, "r": 30, "t": 70, "b": 60},
    )  # fmt: skip
    if accuracy:
        out.update_yaxes(range=[0, 1])
    return out


def _line(figure: Any, x: Any, y: Any, name: str, task: int = 0, **more: Any) -> None:
    from plotly import graph_objects as go

    shown = {"mode": "lines", "line": {"color": colour(task), "width": 2}, **more}
    figure.add_trace(
        go.Scatter(x=np.asarray(x).tolist(), y=np.asarray(y, np.float64).tolist(), name=name, **shown)
    )


def _boundaries(figure: Any, run: Any) -> None:
    """A dotted line after the last evaluation of every task but the last."""
    for end in sorted(run.boundaries)[:-1]:
        figure.add_vline(x=end + 0.5, line_dash="dot", line_color="#888888")


def per_task_accuracy(run: Any) -> Any:
    """Accuracy on each task against evaluations, with the ends of the tasks."""
    out = _figure("Accuracy on each task", evaluations(run), "accuracy", accuracy=True)
    a = run.matrix()
    for task in run.task_order:
        seen = np.flatnonzero(~np.isnan(a[:, task]))
        _line(out, seen, a[seen, task], str(task), task)
    _boundaries(out, run)
    return out


def overall_accuracy(run: Any) -> Any:
    """Accuracy over all test images of the tasks seen."""
    out = _figure("Accuracy on the tasks seen so far", evaluations(run), "accuracy", accuracy=True)
    _line(out, range(len(run.epochs)), [e.overall for e in run.epochs], "all seen", showlegend=False)
    _boundaries(out, run)
    return out


def forgetting(run: Any) -> Any:
    """Best accuracy on a task so far minus the present one."""
    out = _figure("Forgetting of each task", evaluations(run), "best so far − now")
    a = run.matrix()
    for task in run.task_order:
        seen = np.flatnonzero(~np.isnan(a[:, task]))
        _line(out, seen, np.maximum.accumulate(a[seen, task]) - a[seen, task], str(task), task)
    _boundaries(out, run)
    return out


def accuracy_heatmap(run: Any) -> Any:
    """Accuracy as colour: evaluations across, tasks up."""
    from plotly import graph_objects as go

    out = _figure("Accuracy by time and task", evaluations(run), "task")
    a = run.matrix()[:, run.task_order].T
    values = [[None if np.isnan(v) else float(v) for v in row] for row in a]
    names = [str(task) for task in run.task_order]
    out.add_trace(
        go.Heatmap(z=values, y=names, zmin=0, zmax=1, colorscale="Viridis", colorbar_title="accuracy")
    )
    out.update_yaxes(type="category")
    return out


def epoch_losses(run: Any) -> Any:
    """Mean training loss between evaluations, one trace per task."""
    out = _figure("Training loss", evaluations(run), "mean cross-entropy")
    for task in run.task_order:
        mine = [e for e in run.epochs if e.task_id == task]
        _line(out, [e.epoch for e in mine], [e.loss for e in mine], str(task), task, mode="lines+markers")
    return out


def batch_losses(run: Any) -> Any:
    """Loss of every batch before its step, thinned to at most 2,000 points."""
    out = _figure("Loss of the batches", "batch", "cross-entropy")
    step = max(1, -(-len(run.batch_loss) // MOST_POINTS))
    shown = np.arange(0, len(run.batch_loss), step)
    for task in run.task_order:
        mine = shown[run.batch_task[shown] == task]
        _line(
            out,
            mine,
            run.batch_loss[mine],
            str(task),
            task,
            mode="markers",
            marker={"size": 3, "color": colour(task)},
        )
    return out


def training_times(run: Any) -> Any:
    """Seconds of training and feeding the memory, per task."""
    from plotly import graph_objects as go

    out = _figure("Training time", "task", "seconds")
    names = [str(task) for task in run.task_order]
    out.add_trace(go.Bar(x=names, y=list(run.training_times), marker_color=COLOURS[0]))
    out.update_xaxes(type="category")
    return out


def memory_size(run: Any) -> Any:
    """Stored samples."""
    out = _figure("Samples in memory", evaluations(run), "samples")
    _line(out, range(len(run.epochs)), [e.memory_size for e in run.epochs], "stored", showlegend=False)
    _boundaries(out, run)
    return out


def memory_efficiency(run: Any) -> Any:
    """Accuracy per stored sample; 0 while nothing is stored."""
    out = _figure("Accuracy per stored sample", evaluations(run), "accuracy / samples")
    values = [e.overall / e.memory_size if e.memory_size else 0.0 for e in run.epochs]
    _line(out, range(len(values)), values, "efficiency", showlegend=False)
    return out


def oldest_task_ids(run: Any) -> Any:
    """The task of the oldest sample in every cluster, over the offers; white where there is no cluster."""
    from plotly import graph_objects as go

    out = _figure("Task of the oldest sample in each cluster", "samples offered", "cluster (pool by pool)")
    frames, rows, columns = run.tracking.shape
    flat = run.tracking.reshape(frames, rows * columns).T
    values = [[None if v < 0 else int(v) for v in row] for row in flat]
    x = (np.arange(frames) * run.tracking_interval).tolist()
    out.add_trace(go.Heatmap(z=values, x=x, colorscale="Turbo", colorbar_title="task", hoverongaps=False))
    for place in np.flatnonzero(np.diff(run.tracking_task)):
        out.add_vline(x=float((place + 0.5) * run.tracking_interval), line_color="#888888", line_width=1)
    return out


def dashboard(run: Any) -> Any:
    """Overall accuracy, accuracy and forgetting per task, and memory, two by two."""
    from plotly.subplots import make_subplots

    parts = (overall_accuracy(run), per_task_accuracy(run), forgetting(run), memory_size(run))
    out = make_subplots(2, 2, subplot_titles=[part.layout.title.text for part in parts])
    for place, part in enumerate(parts):
        row, column = place // 2 + 1, place % 2 + 1
        for trace in part.data:
            out.add_trace(trace.update(showlegend=place == 1 and trace.showlegend is not False), row, column)
        out.update_xaxes(title_text=part.layout.xaxis.title.text, row=row, col=column)
        out.update_yaxes(
            title_text=part.layout.yaxis.title.text, range=part.layout.yaxis.range, row=row, col=column
        )
    return out.update_layout(
        template="plotly_white", title="A run at a glance", legend_title_text="task", height=800
    )


def clusters(memory: Mapping[str, NDArray[Any]]) -> Any:
    """The samples of every pool in its three main directions; a menu chooses the pool.

    Colour is the cluster, shape the task, size the age: larger is newer; the legend says so.
    Args: memory — columns as `ClusteringMemory.contents` gives them; none for an empty memory.
    """
    from plotly import graph_objects as go

    out = go.Figure()
    labels = np.unique(memory["labels"]) if memory else np.empty(0, int)
    for place, label in enumerate(labels):
        mine = {name: column[memory["labels"] == label] for name, column in memory.items()}
        out.add_trace(_pool(label, mine).update(visible=place == 0))
    keys = _keys(memory["task_ids"]) if memory else []
    out.add_traces(keys)
    menu = [
        {
            "label": f"pool {label}", "method": "update",
            "args": [{"visible": [*(labels == label).tolist(), *[True] * len(keys)]}],
        }
        for label in labels
    ]  # fmt: skip
    title = "Memory at the end, by pool" if len(labels) else "Memory at the end: nothing stored"
    axes = {f"{axis}axis_title": f"direction {k}" for k, axis in enumerate("xyz", 1)}
    return out.update_layout(
        title=title, template="plotly_white", scene=axes, height=700, legend={"itemsizing": "trace"},
        updatemenus=[{"buttons": menu, "x": 1, "xanchor": "right", "y": 1.1}] if menu else [],
    )  # fmt: skip


def _pool(label: int, mine: Mapping[str, NDArray[Any]]) -> Any:
    """The samples of one pool, a class, as points in space."""
    from plotly import graph_objects as go

    columns = [mine[name] for name in ("clusters", "task_ids", "arrivals")]
    rank = np.argsort(np.argsort(mine["arrivals"])) / max(len(mine["arrivals"]) - 1, 1)
    x, y, z = principal(mine["samples"]).T.tolist()
    return go.Scatter3d(
        x=x, y=y, z=z, mode="markers", name=f"pool {label}", showlegend=False, hoverinfo="text",
        text=[f"cluster {c}, task {t}, number {a}" for c, t, a in zip(*columns, strict=True)],
        marker={
            "size": (SMALLEST + (LARGEST - SMALLEST) * rank).tolist(), "colorscale": "Turbo",
            "symbol": [_shape(task) for task in mine["task_ids"]], "color": mine["clusters"].tolist(),
            "colorbar": {"title": "cluster", "len": 0.6, "y": 0.3},
        },
    )  # fmt: skip


def _keys(task_ids: NDArray[Any]) -> list[Any]:
    """Points nowhere that give the legend its entries: which shape is which task, which size is new."""
    from plotly import graph_objects as go

    tasks: dict[str, list[str]] = {}
    for task in np.unique(task_ids):
        tasks.setdefault(_shape(task), []).append(str(task))
    entries = [(f"task {', '.join(numbers)}", shape, 8) for shape, numbers in tasks.items()]
    entries += [("oldest sample", "circle", SMALLEST), ("newest sample", "circle", LARGEST)]
    return [
        go.Scatter3d(
            x=[None], y=[None], z=[None], mode="markers", name=name, hoverinfo="skip",
            marker={"symbol": shape, "size": size, "color": "#666666"},
        )
        for name, shape, size in entries
    ]  # fmt: skip


def _shape(task: int) -> str:
    return SHAPES[int(task) % len(SHAPES)]


SMALLEST, LARGEST = 6, 14  # of the points, in pixels
SHAPES = ("circle", "square", "diamond", "cross", "x", "circle-open", "square-open", "diamond-open")


def principal(x: NDArray[Any]) -> NDArray[np.float64]:
    """Returns x (n, inputs) on its first three principal directions, (n, 3), zeros where there are fewer."""
    centred = x.astype(np.float64) - x.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    out = np.zeros((len(x), 3))
    found = centred @ directions[:3].T
    out[:, : found.shape[1]] = found
    return out


FIGURES: Mapping[str, Callable[[Any], Any]] = MappingProxyType({
    "individual_accuracies": per_task_accuracy, "per_task_accuracy": per_task_accuracy,
    "overall_accuracy": overall_accuracy, "forgetting": forgetting, "accuracy_heatmap": accuracy_heatmap,
    "epoch_losses": epoch_losses, "batch_losses": batch_losses, "training_times": training_times,
    "memory_efficiency": memory_efficiency, "memory_size": memory_size, "dashboard": dashboard,
    "oldest_task_ids": oldest_task_ids,
})  # fmt: skip


def build(run: Any) -> dict[str, Any]:
    """Returns every figure by name; the clusters only where the run still has its memory."""
    out = {name: make(run) for name, make in FIGURES.items()}
    if getattr(run, "final_memory", None):
        out["clusters"] = clusters(run.final_memory)
    return {name: described(figure, run) for name, figure in out.items()}


def write_html(result: Any, stem: Path) -> list[Path]:
    """Write <stem>_per_task_accuracy.html, _overall_accuracy.html and _clusters.html; returns their paths."""
    pages = {name: FIGURES[name](result) for name in WRITTEN} | {"clusters": clusters(result.final_memory)}
    paths = []
    for name, figure in pages.items():
        path = stem.with_name(f"{stem.name}_{name}.html")
        write_page(described(figure, result), path, result)
        paths.append(path)
    return paths
