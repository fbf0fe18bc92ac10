"""Figures of training and of speed: which there are, and that the drawn heights are the numbers."""

import re
from itertools import pairwise

import pytest

from clrepro.claims import Claims
from clrepro.records import RunRecord
from clrepro.report.bench_results import Benchmark, Line, Ratio, Scaling
from clrepro.report.tables import results_table

pytest.importorskip("matplotlib")
from clrepro.report.speed import ratio_bars, scaling_lines
from clrepro.report.training import training_curves


def table(*series):
    records = [
        RunRecord(
            paper="mer", profile="full", setting="rot", method="er", seed=seed, command=["main.py"],
            settings={}, settings_hash="0" * 64, metrics={"A": 0.5}, series=one,
        )
        for seed, one in enumerate(series)
    ]  # fmt: skip
    return results_table("mer", "full", records, Claims("T", {"A": "accuracy, %"}))


def line_of(svg, colour):
    """The points of the first line of a colour, from left to right."""
    path = re.search(rf'<path d="([^"]*)"[^>]*stroke: {colour}', svg)[1]
    return [tuple(map(float, point)) for point in re.findall(r"[ML] ?([-\d.]+) ([-\d.]+)", path)]


def test_accuracy_of_epochs_is_the_mean_of_the_seeds():
    svg = training_curves(
        table({"overall": [0.0, 0.5, 1.0, 0.5], "order": [0, 1]}, {"overall": [0.0, 0.5, 0.0, 0.5]}), "rot"
    )
    heights = [y for _, y in line_of(svg, "#3d7fd9")]
    assert len(heights) == 4
    assert heights[1] == pytest.approx(heights[2]) == pytest.approx(heights[3])
    assert heights[0] > heights[1]  # SVG counts downwards
    assert ">epochs<" in svg


def test_returns_of_tasks_follow_each_other():
    steps, returns = [[10, 20], [10, 20]], [[1.0, 2.0], [3.0, 4.0]]
    svg = training_curves(table({"curve_steps": steps, "curve_returns": returns}), "rot")
    points = line_of(svg, "#3d7fd9")
    gaps = [b[0] - a[0] for a, b in pairwise(points)]
    assert len(points) == 4
    assert gaps == pytest.approx([gaps[0]] * 3, abs=1e-3)
    assert ">environment steps<" in svg


def test_rewards_while_training_come_before_returns():
    rollouts = {"curve_steps": [[10], [10]], "curve_returns": [[1.0], [2.0]]}
    rewards = {"reward_steps": [[5, 10], [5, 10]], "rewards": [[1.0, 2.0], [3.0, 1.0]]}
    svg = training_curves(table({**rollouts, **rewards}), "rot")
    heights = [y for _, y in line_of(svg, "#3d7fd9")]
    assert heights[0] == pytest.approx(heights[3])
    assert heights[2] < heights[1] < heights[0]
    assert ">reward per step while training<" in svg


@pytest.mark.parametrize(
    "series",
    [
        {},
        {"overall": [0.1, 0.2]},
        {"overall": [0.1, None, 0.2]},
        {"curve_steps": [[10], [10]], "curve_returns": [[1.0], [2.0]]},
        {"curve_steps": [[10, 20], [10]], "curve_returns": [[1.0, 2.0], [2.0, 3.0]]},
        {"curve_steps": [[], []], "curve_returns": [[], []]},
    ],
)
def test_too_few_points_gaps_and_misfits_are_no_curve(series):
    assert training_curves(table(series), "rot") is None


def benchmark(name, by, promised, verdict):
    return Benchmark(
        "mer", name, "step", "", "wall", (), Ratio("a", "b", by, by * 0.9, by * 1.1), promised, verdict
    )


def test_bars_begin_at_one_and_show_what_was_missed():
    svg = ratio_bars("mer", [benchmark("quick", 8.0, 4.0, "kept"), benchmark("slow", 0.5, 2.0, "missed")])
    assert svg == ratio_bars(
        "mer", [benchmark("quick", 8.0, 4.0, "kept"), benchmark("slow", 0.5, 2.0, "missed")]
    )
    bars = {}
    for d, colour in re.findall(r'<path d="([^"]*)"[^>]*style="fill: (#\w+)', svg):
        if "z" in d:
            bars.setdefault(colour, [float(x) for x, _ in re.findall(r"[ML] ?([-\d.]+) ([-\d.]+)", d)])
    kept, missed = bars["#2f9e6e"], bars["#d05a5a"]
    assert min(kept) == pytest.approx(max(missed), abs=0.01)  # both touch 1
    assert (max(kept) - min(kept)) / (max(missed) - min(missed)) == pytest.approx(3, rel=0.01)  # 2³ and 2⁻¹


@pytest.mark.parametrize("log", [True, False])
def test_scaling_lines_are_named_and_straight_where_they_ought_to_be(log):
    lines = (Line("double", (1, 10, 100), (2, 20, 200)), Line("flat", (1, 10, 100), (3, 3, 3)))
    svg = scaling_lines(Scaling("mer", "memory", "slots", "seconds", log, lines))
    assert {">double<", ">flat<", ">slots<", ">seconds<"} <= set(re.findall(r">\w+<", svg))
    (x0, y0), (x1, y1), (x2, y2) = line_of(svg, "#3d7fd9")
    assert (y1 - y0) / (x1 - x0) == pytest.approx((y2 - y1) / (x2 - x1), rel=1e-3)
    assert len({y for _, y in line_of(svg, "#d9822b")}) == 1
