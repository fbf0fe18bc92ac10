"""S and BWT against single-task references, by hand."""

import json
import math

import numpy as np
import pytest

from hvcl_repro.rl import curves, outputs
from hvcl_repro.rl.environments import SETS
from hvcl_repro.rl.points import POINTS, Point
from hvcl_repro.rl.references import FILE, reference_of, references

CURVES = [[[1.0, 2.0, 3.0]], [[2.0, 2.0, 2.0], [8.0, 8.0, 8.0]]]  # R: [2, -], [2, 8]
FLOOR, REFERENCE = [1.0, 4.0], [3.0, 12.0]  # on this scale R is [.5, -], [.5, .5]


def run(seed, method="reinit", steps=100):
    values = [float(seed), *([seed + 1.0] * 5)]  # the first is not among the last five
    segments = [[values] * (t + 1) for t in range(3)]
    return {
        "settings": {"env_set": "quick", "train_steps": steps, "method": method, "seed": seed},
        "curves": segments,
    }


def test_both_sums_and_the_transfer_by_hand():
    r = curves.matrix(CURVES)
    assert curves.reference_normalised(r, FLOOR, REFERENCE) == pytest.approx(1.0)
    assert curves.transfer(r, FLOOR, REFERENCE) == pytest.approx(0.0)
    assert curves.matrix([[[9.0, 9.0, 1.0, 2.0, 3.0]]]) == [[2.0]]  # the last three
    lost = curves.matrix([[[3.0]], [[1.0], [4.0]]])
    assert curves.transfer(lost, FLOOR, REFERENCE) == pytest.approx(-1.0)
    assert curves.reference_normalised(lost, FLOOR, REFERENCE) == pytest.approx(0.0)
    # Below the floor counts as at it, and no task for more than one and a half.
    assert curves.reference_normalised(lost - 9.0, FLOOR, REFERENCE) == 0.0
    assert curves.reference_normalised(lost + 99.0, FLOOR, REFERENCE) == pytest.approx(2 * 1.5)
    assert math.isnan(curves.transfer(r[:1, :1], FLOOR[:1], REFERENCE[:1]))


def test_what_a_record_keeps_with_and_without_references():
    found, series = outputs.metrics(CURVES, FLOOR, REFERENCE)
    assert found == pytest.approx({"S_self": (2 / 3 + 1) / 2, "retention": 1.0, "S_ref": 0.5, "BWT_ref": 0.0})
    assert series == {"reference": REFERENCE}
    # Retention is the mean over all tasks but the last, which can have lost nothing yet.
    halved = [[[3.0]], [[2.0], [8.0]]]
    assert outputs.metrics(halved, FLOOR, None)[0]["retention"] == pytest.approx(0.5)
    found, series = outputs.metrics(CURVES, FLOOR, None)
    assert set(found) == {"S_self", "retention"}
    assert series == {}


def test_references_are_means_of_the_last_five_evaluations_of_fresh_networks():
    env_set, found = reference_of([run(1), run(3)])
    assert env_set == "quick"
    assert found["seeds"] == [1, 3]
    assert list(found["returns"].values()) == [3.0] * 3  # of 2 and 4
    with pytest.raises(ValueError, match="reinit"):
        reference_of([run(1, "dense")])
    with pytest.raises(ValueError, match="one budget"):
        reference_of([run(1), run(2, steps=200)])


def test_a_file_counts_for_its_own_budget_only(tmp_path):
    file = tmp_path / "references.json"
    assert references("quick", 100, file) is None
    file.write_text(json.dumps({"quick": reference_of([run(1)])[1]}))
    assert references("quick", 102, file) == [2.0] * 3
    assert references("quick", 200, file) is None
    assert references("pybullet", 100, file) is None


def test_toys_are_measured_by_their_best_return():
    assert references("toy", 5) == [Point(**POINTS[name]).best_return() for name in SETS["toy"]]


def test_the_file_that_comes_along_was_made_with_seeds_that_no_table_uses():
    kept = json.loads(FILE.read_text())["quick"]
    assert set(kept["returns"]) == set(SETS["quick"])
    assert not {0, 1, 2} & set(kept["seeds"])
    assert np.all(np.isfinite(list(kept["returns"].values())))
