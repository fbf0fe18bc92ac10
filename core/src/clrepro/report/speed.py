"""Figures of speed: ratios with what was promised, and cost against size."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

from clrepro.bench.benchmark import human
from clrepro.report.bench_results import Benchmark, Scaling
from clrepro.report.plot_style import COLOURS, GRID, INK, MARKERS, legend, new_figure, svg_text

LABEL_WIDTH = 44
LEGEND_WIDTH = 26
VERDICT_COLOURS = {"kept": COLOURS[2], "missed": COLOURS[4], "none": COLOURS[8]}


def ratio_bars(paper: str, rows: Sequence[Benchmark]) -> str:
    """Returns an SVG: for each benchmark a bar from 1 to its median ratio on a logarithmic axis, its spread,
    and a line where the promise lies; red where it was missed.  Contests without a peer have none.
    """
    rated = [(row, row.ratio) for row in rows if row.ratio is not None]
    figure, axes = new_figure(0.42 * len(rated) + 0.75)
    for place, (row, ratio) in enumerate(reversed(rated)):
        colour = VERDICT_COLOURS[row.verdict]
        low, high = sorted((1.0, ratio.median))
        axes.barh(place, high - low, left=low, height=0.5, color=colour, alpha=0.55, linewidth=0)
        axes.plot([ratio.low, ratio.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(ratio.median, place, "o", color=colour, markersize=5)
        if row.promised is not None:
            axes.plot([row.promised] * 2, [place - 0.38, place + 0.38], color=INK, linewidth=2)
    axes.set_xscale("log")
    seen = [value for row, ratio in rated for value in (ratio.low, ratio.high, row.promised or 1.0, 1.0)]
    axes.set_xlim(min(seen) / 1.25, max(seen) * 1.25)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.axvline(1, color=INK, linewidth=0.8)
    names = [textwrap.shorten(row.name, 2 * LABEL_WIDTH, placeholder=" …") for row, _ in reversed(rated)]
    axes.set_yticks(range(len(rated)), [textwrap.fill(name, LABEL_WIDTH) for name in names], fontsize=8)
    axes.set_ylim(-0.6, len(rated) - 0.4)
    axes.set_xlabel("times as fast")
    axes.grid(axis="x", color=GRID)
    return svg_text(figure, f"bench/{paper}/ratios")


def scaling_lines(scaling: Scaling) -> str:
    """Returns an SVG with the lines of one scaling plot."""
    figure, axes = new_figure(3.4)
    for i, line in enumerate(scaling.lines):
        axes.plot(
            *(line.x, line.y),
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            label=textwrap.fill(line.name, LEGEND_WIDTH),
            linewidth=1.5,
            markersize=5,
        )
    if scaling.log:
        _logarithmic(axes, scaling)
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(scaling.x_label)
    axes.set_ylabel(scaling.y_label)
    axes.grid(axis="y", color=GRID)
    if len(scaling.lines) > 1:
        legend(axes)
    return svg_text(figure, f"bench/{scaling.paper}/{scaling.name}/scaling")


def _logarithmic(axes: Any, scaling: Scaling) -> None:
    """Logarithmic axes: the sizes themselves below, times with their unit beside, a flat line drawn flat."""
    from matplotlib.ticker import LogLocator, NullFormatter

    sizes = sorted({x for line in scaling.lines for x in line.x})
    times = [y for line in scaling.lines for y in line.y]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    if times:
        middle, half = math.sqrt(min(times) * max(times)), max(math.sqrt(max(times) / min(times)) * 1.15, 2.2)
        axes.set_ylim(middle / half, middle * half)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: human(value))
    axes.yaxis.set_minor_formatter(NullFormatter())
