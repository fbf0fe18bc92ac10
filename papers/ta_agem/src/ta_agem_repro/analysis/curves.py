"""Accuracy against epoch, one band per folder of runs, as a page that needs no network."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.io.atomic import write_atomically
from ta_agem_repro.pages import write_page
from ta_agem_repro.reader import Run


def rows_of(runs: Sequence[Run]) -> tuple[NDArray[np.float64], int]:
    """Returns float64 (runs, E), the overall accuracy by evaluation, cut to the E that all of them have, and
    the length of the longest.
    """
    lengths = [len(run.epochs) for run in runs]
    common = min(lengths)
    return np.array([[e.overall for e in run.epochs[:common]] for run in runs]), max(lengths)


def figure(task_type: str, runs: Mapping[str, Sequence[Run]]) -> Any:
    """Returns the plotly figure: mean accuracy against epoch per folder, with a band of ± 1 sample sd.

    Runs of different lengths in a folder are cut to what they share, with a notice.
    """
    from plotly import colors
    from plotly import graph_objects as go

    out = go.Figure()
    for place, (folder, every) in enumerate(runs.items()):
        if not (found := [run for run in every if run.task_type == task_type]):
            continue
        rows, longest = rows_of(found)
        if longest > rows.shape[1]:
            common = rows.shape[1]
            print(
                f"{folder}, {task_type}: runs of {common} to {longest} epochs; the first {common} are shown"
            )
        colour = colors.hex_to_rgb(colors.qualitative.D3[place % len(colors.qualitative.D3)])
        mean, x = rows.mean(axis=0), list(range(rows.shape[1]))
        line = f"rgb{colour}"
        if len(rows) > 1:
            sd = rows.std(axis=0, ddof=1)
            out.add_scatter(
                x=x + x[::-1], y=[*(mean + sd), *(mean - sd)[::-1]], fill="toself", hoverinfo="skip",
                fillcolor=f"rgba{(*colour, 0.2)}", line={"width": 0}, mode="lines", legendgroup=folder,
                showlegend=False,
            )  # fmt: skip
        name = f"{folder} (n = {len(rows)})"
        out.add_scatter(
            x=x, y=mean.tolist(), mode="lines", name=name, line={"color": line}, legendgroup=folder
        )
    out.update_layout(
        title=f"Accuracy on the tasks seen, {task_type.replace('_', ' ')} (mean ± 1 standard deviation)",
        xaxis_title="Epoch", yaxis_title="Accuracy", yaxis_range=[0, 1], hovermode="x unified", height=700,
    )  # fmt: skip
    return out


def write(task_type: str, runs: Mapping[str, Sequence[Run]], base: Path, png: bool) -> None:
    """Write <base>.html, with plotly.min.js beside it, and <base>.png if asked for and possible."""
    drawn = figure(task_type, runs)
    page = base.with_name(f"{base.name}.html")
    write_page(drawn, page)
    print(f"written: {page}")
    if not png:
        return
    if importlib.util.find_spec("kaleido") is None:
        print(f"no PNG of {task_type}: the package kaleido is not installed; the HTML shows the same")
        return
    image = base.with_name(f"{base.name}.png")
    try:
        picture = drawn.to_image(format="png", width=1200, height=700)
    except Exception as problem:  # kaleido drives a browser, which fails in many ways
        reason = " ".join(str(problem).split())[:120]
        print(f"no PNG of {task_type}: kaleido failed ({reason}); the HTML shows the same")
        return
    write_atomically(image, picture)
    print(f"written: {image}")
