"""Figures: which there are, that they are the same twice, and that the drawn heights are the numbers."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from clrepro.claims import Claims, Reference, Value
from clrepro.records import RunRecord
from clrepro.report.tables import results_table

pytest.importorskip("matplotlib")
from clrepro.report.figures import comparison, learning_curves, memory_curves, training_curves

CLAIMS = Claims(
    "Title",
    {"RA": "retained"},
    values=(Value("full", "rot/200", "mer", "RA", "found", "here", Reference(71.0)),),
)


def runs(setting, method, values, series=None):
    for seed, value in enumerate(values):
        yield RunRecord(
            paper="mer", profile="full", setting=setting, method=method, seed=seed, command=["main.py"],
            settings={}, settings_hash="0" * 64, metrics={"RA": value}, series=series or {},
        )  # fmt: skip


def matrix(*rows):
    return {"R": [list(row) for row in rows]}


@pytest.fixture
def table():
    whole = matrix((0.9, 0.1), (0.5, 0.7))
    shuffled = {**matrix((0.1, 0.9), (0.7, 0.5)), "order": [1, 0]}
    records = [
        *runs("rot", "online", [0.5, 0.52], whole),
        *runs("rot/200", "mer", [0.72, 0.73, 0.71], whole),
        *runs("rot/200", "gem", [0.6, 0.61], shuffled),
        *runs("rot/500", "mer", [0.8, 0.81], matrix((0.9, math.nan), (math.nan, 0.7))),
        *runs("perm", "mer", [0.6], matrix((0.9, 0.1), (math.nan, 0.7))),
    ]
    return results_table("mer", "full", records, CLAIMS)


def test_which_figures_there_are(table):
    assert list(memory_curves(table, "RA")) == ["rot"]
    assert list(comparison(table, "RA")) == ["rot/200", "rot/500"]  # online is shown in both
    assert learning_curves(table, "rot/200") is not None
    assert learning_curves(table, "perm") is None  # R was not measured whole
    assert learning_curves(table, "elsewhere") is None


def test_methods_without_memory_stand_beside_those_with(table):
    for svg in (comparison(table, "RA")["rot/500"], memory_curves(table, "RA")["rot"]):
        assert {">online<", ">mer<"} <= set(re.findall(r">\w+<", svg))


def test_figures_are_well_formed_the_same_twice_and_without_date_or_request(table):
    one = [
        *memory_curves(table, "RA").values(),
        *comparison(table, "RA").values(),
        learning_curves(table, "rot"),
    ]
    two = [
        *memory_curves(table, "RA").values(),
        *comparison(table, "RA").values(),
        learning_curves(table, "rot"),
    ]
    assert one == two
    for svg in one:
        assert ET.fromstring(svg).tag.endswith("svg")
        assert not re.search(r'href="(?!#)|<metadata>.*\d{4}-\d\d-\d\d', svg, re.DOTALL)


def test_figures_on_one_page_share_no_id(table):
    figures = [*comparison(table, "RA").values(), *memory_curves(table, "RA").values()]
    ids = [re.findall(r' id="([^"]+)"', svg) for svg in figures]
    flat = [name for own in ids for name in own]
    assert len(flat) == len(set(flat))
    for svg, own in zip(figures, ids, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) == set(own)


def test_dots_stand_where_the_means_are(table):
    """Three points on one axis: their places are proportional to their values."""
    svg = comparison(table, "RA")["rot/200"]
    places = {float(x) for x in re.findall(r'<use [^>]*x="([\d.]+)"', svg)}
    ticks = re.findall(r'<text [^>]*x="([\d.]+)"[^>]*>(\d+)</text>', svg)
    x, value = np.array([[float(a), float(b)] for a, b in ticks]).T
    scale = np.polyfit(value, x, 1)
    for mean in (51.0, 72.0, 60.5, 71.0):  # online, mer, gem, and the reference of mer
        assert min(abs(place - np.polyval(scale, mean)) for place in places) < 0.7


def test_curves_average_only_tasks_seen_in_presentation_order(table, monkeypatch):
    """Shuffled columns give the same curve: 90 %, then (50 + 70)/2."""
    from matplotlib.axes import Axes

    drawn = {}
    plot = Axes.plot

    def spy(self, x, y, *rest, **style):
        drawn[style["label"]] = np.asarray(y).tolist()
        return plot(self, x, y, *rest, **style)

    monkeypatch.setattr(Axes, "plot", spy)
    learning_curves(table, "rot/200")
    assert drawn == {name: pytest.approx([90.0, 60.0]) for name in ("online", "mer", "gem")}


def test_rewards_while_training_are_averaged_over_runs_on_one_axis_of_steps():
    def series(height):
        return {
            "R": [[1.0, 2.0], [3.0, 4.0]],
            "reward_steps": [[10, 20], [20]],
            "rewards": [[height, height], [-height]],
        }

    records = [
        RunRecord(
            paper="mer", profile="full", setting="rot/200", method="mer", seed=seed, command=["main.py"],
            settings={}, settings_hash="0" * 64, metrics={"RA": 0.5}, series=series(height),
        )
        for seed, height in enumerate((1.0, 3.0))
    ]  # fmt: skip
    table = results_table("mer", "full", records, CLAIMS)
    svg = training_curves(table, "rot/200")
    assert svg is not None
    assert "reward per step while training" in svg
    assert svg == training_curves(table, "rot/200")
    assert learning_curves(table, "rot/200") is None  # R is not made of accuracies
    assert training_curves(table, "perm") is None
    line = next(d for d in re.findall(r' d="([^"]+)"', svg) if d.count("L") == 81)
    heights = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", line)]
    assert len(set(heights[:41])) == len(set(heights[41:])) == 1  # 2 in the first task, -2 in the second
    assert heights[0] < heights[-1]
