"""Pictures of the arena: who cannot be told apart (critical difference), and what accuracy costs (Pareto)."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from clrepro.arena.loop import MAIN
from clrepro.metrics.sign_flip import holm, sign_flip_p
from clrepro.report.arena_table import Line
from clrepro.report.plot_style import COLOURS, GRID, INK, new_figure, svg_text

ALPHA = 0.05


def ranks(lines: Sequence[Line]) -> tuple[list[Line], dict[str, float], int]:
    """Returns (lines with finished runs, mean rank of each over the seeds that all have, number of those)."""
    done = [line for line in lines if line.values]
    seeds = sorted(set.intersection(*(set(line.values) for line in done))) if done else []
    if not seeds:
        return [], {}, 0
    rows = np.array([[-line.values[seed] for line in done] for seed in seeds])
    mean = stats.rankdata(rows, axis=1).mean(axis=0)
    return done, {line.method: float(rank) for line, rank in zip(done, mean, strict=True)}, len(seeds)


def undecided(lines: Sequence[Line]) -> set[frozenset[str]]:
    """Returns the pairs between which the exact sign-flip test finds no difference, Holm over all pairs."""
    pairs = list(itertools.combinations([line for line in lines if line.values], 2))
    p_values = []
    for a, b in pairs:
        seeds = sorted(set(a.values) & set(b.values))
        p_values.append(sign_flip_p([a.values[s] - b.values[s] for s in seeds]) if seeds else 1.0)
    return {
        frozenset((a.method, b.method))
        for (a, b), p in zip(pairs, holm(p_values), strict=True)
        if p > ALPHA
    }


def cliques(order: Sequence[str], pairs: set[frozenset[str]]) -> list[tuple[int, int]]:
    """Returns (first, last) of the longest runs of neighbours in `order` that are all pairwise in `pairs`."""
    found: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and all(
            frozenset((order[k], order[last + 1])) in pairs for k in range(first, last + 1)
        ):
            last += 1
        if last > first and not any(a <= first and last <= b for a, b in found):
            found.append((first, last))
    return found


def critical_difference(lines: Sequence[Line], salt: str) -> str:
    """Returns an SVG: methods by mean rank, bars join those that cannot be told apart; "" for less than 2."""
    done, mean, n = ranks(lines)
    if len(done) < 2:
        return ""
    order = sorted(mean, key=lambda name: mean[name])
    bars = cliques(order, undecided(done))
    figure, axes = new_figure(0.9 + 0.22 * len(order) + 0.08 * len(bars))
    for place, name in enumerate(order):
        axes.plot([1, mean[name]], [place, place], color=GRID, linewidth=1)
        axes.plot(mean[name], place, "o", color=COLOURS[0], markersize=5)
        axes.annotate(
            f"{name}  {mean[name]:.1f}", (mean[name], place), xytext=(7, 0), textcoords="offset points",
            va="center", color=INK, fontsize=8.5,
        )  # fmt: skip
    for number, (first, last) in enumerate(bars):
        x = 1 - (0.25 + 0.22 * number) * max(1.0, len(order) / 12)
        axes.plot([x, x], [first - 0.25, last + 0.25], color=COLOURS[1], linewidth=3, solid_capstyle="round")
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(None, len(order) + 0.28 * len(order))
    axes.set_yticks([])
    axes.set_xlabel(f"mean rank over {n} seeds (1 is best); bars: no difference found")
    return svg_text(figure, salt)


def pareto(lines: Sequence[Line], salt: str) -> str:
    """Returns an SVG: seconds of training against bytes kept, the dots' area by final accuracy; ringed are
    the methods that none beats in all three.  "" for fewer than two methods.
    """
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    done = [line for line in lines if line.values and line.seconds > 0 and line.memory_bytes > 0]
    if len(done) < 2:
        return ""
    best = {line.method for line in done if not any(_beats(other, line) for other in done)}
    figure, axes = new_figure(3.8)
    low = min(line.cells[MAIN].mean for line in done)
    high = max(line.cells[MAIN].mean for line in done)
    for line in done:
        share = (line.cells[MAIN].mean - low) / (high - low) if high > low else 1.0
        ring: dict[str, Any] = {"edgecolors": INK, "linewidths": 1.6} if line.method in best else {}
        colour = COLOURS[0] if line.method in best else COLOURS[8]
        axes.scatter(line.memory_bytes / 1e6, line.seconds, s=18 + 130 * share, color=colour, **ring)
        axes.annotate(
            f"{line.method} {100 * line.cells[MAIN].mean:.0f}", (line.memory_bytes / 1e6, line.seconds),
            xytext=(7, 3), textcoords="offset points", color=INK, fontsize=8,
        )  # fmt: skip
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        scale("log")
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_xlabel("MB kept, parameters included")
    axes.set_ylabel("seconds of training")
    axes.margins(x=0.15, y=0.12)
    return svg_text(figure, salt)


def _beats(a: Line, b: Line) -> bool:
    """Whether a is at least as good as b in accuracy, seconds and bytes, and better in one."""
    gains = (
        a.cells[MAIN].mean - b.cells[MAIN].mean, b.seconds - a.seconds, b.memory_bytes - a.memory_bytes
    )  # fmt: skip
    return all(g >= 0 and math.isfinite(g) for g in gains) and any(g > 0 for g in gains)
