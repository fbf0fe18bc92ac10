"""One odd record costs the report that record, named with its reason, and nothing else."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from clrepro.cli import main
from clrepro.records import RunRecord
from clrepro.report.odd import odd_series, without_odd

R = [[0.5, math.nan], [0.25, 0.75]]


def record(seed: int = 0, method: str = "m", **series: Any) -> RunRecord:
    words = {"command": ["main.py", "--seed", str(seed)], "settings": {}, "settings_hash": "0" * 64}
    return RunRecord("fake", "quick", "walk/6", method, seed, metrics={"RA": 0.5}, series=series, **words)  # type: ignore[arg-type]


ODD = {
    "ragged": {"R": [[0.1, 0.2], [0.3]]},
    "empty": {"R": []},
    "empty rows": {"R": [[], []]},
    "one-dimensional": {"R": [0.1, 0.2]},
    "three-dimensional": {"R": [[[0.1]]]},
    "not square": {"R": [[0.1, 0.2]]},
    "order of other tasks": {"R": R, "order": [0, 7]},
    "order repeats": {"R": R, "order": [0, 0]},
    "order ragged": {"R": R, "order": [[0], 1]},
    "order ragged alone": {"order": [[0], 1], "overall": [0.5]},
    "order nested": {"R": R, "order": [[0], [1]]},
    "overall nested": {"overall": [[0.1, 0.2], [0.3, 0.4]]},
    "overall empty": {"overall": []},
    "overall ragged": {"overall": [0.1, [0.2]]},
    "curves flat": {"reward_steps": [1, 2, 3], "rewards": [1.0, 2.0, 3.0]},
    "curves nested": {"curve_steps": [[[1], [2]]], "curve_returns": [[[1.0], [2.0]]]},
    "curves of other lengths": {"curve_steps": [[1, 2, 3]], "curve_returns": [[1.0]]},
    "curves of other tasks": {"curve_steps": [[1, 2, 3]], "curve_returns": [[1.0, 2.0, 3.0], [1.0]]},
}


@pytest.mark.parametrize("unsealed", [False, True])
@pytest.mark.parametrize("series", ODD.values(), ids=ODD)
def test_an_odd_record_is_left_out_by_name(
    series: dict[str, Any],
    unsealed: bool,
    fake_paper: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    odd = record(1, **series)
    for each in (record(0, R=R), odd):
        path = each.path(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        body = json.loads(each.to_json())
        if unsealed:
            del body["sha256"]
        path.write_text(json.dumps(body))
    assert main(["report", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "left out: fake/quick/walk/6/m/seed1: series" in said
    assert "| walk/6 | m | 1 |" in (tmp_path / "fake/quick/table.md").read_text()


def test_of_a_row_with_different_numbers_of_tasks_the_fewer_records_are_left_out() -> None:
    same = [record(seed, R=R) for seed in (0, 1)]
    other = record(2, R=[[0.5]])
    assert without_odd([other, *same]) == (
        same,
        ["fake/quick/walk/6/m/seed2: series R has 1 tasks, its row's others 2"],
    )
    elsewhere = record(2, "n", R=[[0.5]])
    assert without_odd([elsewhere, *same])[1] == []


@pytest.mark.parametrize(
    "series",
    [{}, {"R": R}, {"R": R, "order": [1, 0]}, {"overall": [0.5]}, {"snapshots": []}, {"x": [1, [2]]}],
)
def test_what_programs_write_is_not_odd(series: dict[str, Any]) -> None:
    assert odd_series(record(**series)) == ""


def test_only_odd_records_are_no_report(fake_paper: Any, tmp_path: Path, capsys: Any) -> None:
    path = record(0, R=[]).path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(record(0, R=[]).to_json())
    assert main(["report", "--out", str(tmp_path)]) == 1
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e308, -1e308])
def test_numbers_without_bounds_are_shown_without_a_warning(
    value: float, fake_paper: Any, tmp_path: Path
) -> None:
    for seed, method in ((0, "m"), (1, "m"), (0, "n"), (1, "n")):
        body = record(seed, method, R=[[0.5]])
        body = RunRecord(**{**vars(body), "metrics": {"RA": value if method == "m" else 0.5}})
        body.path(tmp_path).parent.mkdir(parents=True, exist_ok=True)
        body.path(tmp_path).write_text(body.to_json())
    assert main(["report", "--out", str(tmp_path)]) == 0
