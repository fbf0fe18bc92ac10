"""How figures look: colours for light and dark pages, a bare frame, and SVG text that is the same twice."""

import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Middle tones: all of them readable on a white and on a nearly black ground.
INK, GRID = "#76808d", "#8a93a038"
COLOURS = (
    *("#3d7fd9", "#d9822b", "#2f9e6e", "#9a6bd1", "#d05a5a", "#2aa3b3", "#c765a5", "#9c8a2c", "#7d8894"),
    *("#5d6bd6", "#b0693f"),
)
MARKERS = "os^DvPX<>p*"


def new_figure(height: float) -> "tuple[Figure, Any]":
    """Returns a figure 6 inches wide and its axes, without a frame but for the line below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, height), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.tick_params(which="both", colors=INK, length=0)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def legend(axes: Any) -> None:
    """Names the lines, to the right of the axes."""
    axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))


def svg_text(figure: "Figure", salt: str) -> str:
    """The figure as SVG text, without ground, dates, metadata or style sheet, the same for the same figure.

    Ids follow from `salt`, and those that nothing refers to are dropped, so that a page can hold many
    figures.  matplotlib's style element (round joins) is dropped too: inside HTML it would hold for the
    whole page, and the page's security policy forbids it; report.css says the same for figures.
    """
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    text = out.getvalue()
    text = re.sub(r"<style[^>]*>.*?</style>", "", text[text.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r"(?:href=\"|url\()#([^\")]+)", text))
    return re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
