"""The numbers of a record from hand-made matrices, and the references they are measured against."""

import dataclasses
import json

import pytest

from clrepro.records import RunRecord, read_record
from rewire_repro import reference, results

R = [[10.0, 1.0, 0.0, 0.0], [6.0, 8.0, 2.0, 0.0], [4.0, 9.0, 5.0, 1.0], [4.0, 8.0, 5.0, 7.0]]
REACHED = [[0.5, 0.0, 0.0, 0.0], [0.5, 1.0, 0.0, 0.0], [0.0, 1.0, 0.25, 0.0], [0.25, 1.0, 0.25, 0.5]]


@pytest.fixture
def made():
    """Results of four finished tasks."""
    one = results.Results(R, REACHED, [[0.0] * 4] * 4, [{"inference": 300, "training": 400, "repo": 500}] * 4)
    return one


@pytest.fixture
def twice(composed, tmp_path, monkeypatch):
    """Settings of two tasks visited twice, with references of returns and successes."""
    one = composed("ft_1", "scenario=continual_world/t6", "profile=quick", "scenario.repeat_scenario=2",
                   "scenario.tasks=[push-v1,hammer-v1]")  # fmt: skip
    path = tmp_path / "references.json"
    entry = {
        "tasks": ["push-v1", "hammer-v1"] * 2,
        "returns": [8.0, 10.0, 4.0, 5.0],
        "auc": [0.2, 0.5, 1.0, 0.0],
    }
    path.write_text(json.dumps({"quick/continual_world/t6": entry}))
    monkeypatch.setattr(results, "REFERENCES", path)
    return one


def test_metrics_by_hand(made, twice):
    curves = [{"success": [0.0, 0.8]}, {"success": [0.25]}, {"success": [0.0]}, {"success": [0.5, 0.5]}]
    got = results.metrics(twice, made, 100, curves)
    hundred = {name: 100 * got[name] for name in ("P", "F", "T", "T_2", "size")}
    assert hundred["P"] == pytest.approx((4 + 8 + 5 + 7) / 4)
    assert hundred["F"] == pytest.approx((6 + 0 + 0 + 0) / 4)
    assert hundred["T"] == pytest.approx((2 - 2 + 1 + 2) / 4)
    assert hundred["T_2"] == pytest.approx((1 + 2) / 2)
    assert hundred["size"] == pytest.approx(3)
    assert got["P_rel"] == pytest.approx((4 / 8 + 8 / 10 + 5 / 4 + 7 / 5) / 4)
    assert got["success"] == pytest.approx(0.5)
    assert got["success_F"] == pytest.approx((0.25 + 0 + 0 + 0) / 4)
    assert got["final_success"] == 0
    # (0.4 - 0.2)/0.8, (0.25 - 0.5)/0.5, perfect alone, 0.5/1
    assert got["ft_auc"] == pytest.approx((0.25 - 0.5 + 0.5) / 3)


def test_a_second_visit_needs_repeated_tasks_and_transfer_a_reference(made, twice):
    once = dataclasses.replace(twice, scenario=dataclasses.replace(twice.scenario, repeat_scenario=1))
    got = results.metrics(once, made, 100, [])
    assert {"T", "T_2", "ft_auc"}.isdisjoint(got)  # references.json is of other tasks
    assert {"P", "F", "success_F"} <= set(got)


def test_references_of_tasks_with_a_goal_hold_their_successes():
    records = [
        RunRecord(
            paper="rewire", profile="quick", setting="continual_world/t1", method="sac_n", seed=seed,
            command=["run.py"], settings={}, settings_hash="0" * 64, metrics={"P": 0.1},
            series={"R": [[1.0 + seed, 0.0], [0.0, 3.0]], "curve_success": [[0.0, 1.0], [0.5 * seed]]},
            data={"tasks": ["a", "b"]},
        )
        for seed in (0, 1)
    ]  # fmt: skip
    entry = reference.entries(records, "quick")["quick/continual_world/t1"]
    assert entry == {"tasks": ["a", "b"], "returns": [1.5, 3.0], "auc": [0.5, 0.25], "seeds": [0, 1]}
    assert reference.entries(records, "full") == {}


def test_stages_that_were_not_evaluated_do_not_matter(made, twice):
    """P, F and T need the diagonal and the last row of R alone."""
    needed = dataclasses.replace(
        made,
        returns=[[one if i in (j, 3) else None for j, one in enumerate(row)] for i, row in enumerate(R)],
        success_any=[
            [one if i in (j, 3) else None for j, one in enumerate(row)] for i, row in enumerate(REACHED)
        ],
    )
    assert results.metrics(twice, needed, 100) == results.metrics(twice, made, 100)


def test_records_get_what_needs_a_reference_afterwards(made, twice, tmp_path, monkeypatch, capsys):
    """A record made before references.json had its scenario ends up with the numbers of one made after."""
    curves = [{"success": [0.0, 0.8]}, {"success": [0.25]}, {"success": [0.0]}, {"success": [0.5, 0.5]}]
    monkeypatch.setattr(results, "REFERENCES", tmp_path / "none.json")
    monkeypatch.setattr(reference, "REFERENCES", tmp_path / "none.json")
    early = results.metrics(twice, made, 100, curves)
    assert "T" not in early
    series = {"R": R, "curve_success": [one["success"] for one in curves]}
    for method in ("sac_n", "ft_1"):
        record = RunRecord(
            paper="rewire", profile="quick", setting="continual_world/t6", method=method, seed=3,
            command=["run.py"], settings={"scenario": {"repeat_scenario": 2}}, settings_hash="0" * 64,
            metrics=early, series=series, data={"tasks": list(twice.scenario.sequence)},
        )  # fmt: skip
        path = record.path(tmp_path)
        path.parent.mkdir(parents=True)
        path.write_text(record.to_json())
    assert reference.main([str(tmp_path)]) == 0
    assert "2 records with new numbers" in capsys.readouterr().out
    late = results.metrics(twice, made, 100, curves)
    assert {"T", "T_2", "P_rel", "F_rel", "T_rel", "ft_auc"} <= set(late)
    assert read_record(path).metrics == late
    assert read_record(path).series == record.series
    assert reference.main([str(tmp_path)]) == 0
    assert "0 records with new numbers" in capsys.readouterr().out
