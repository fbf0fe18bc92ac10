"""Checks against a baseline: equal passes, noise passes, a real shift does not, whatever its size."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clrepro.check import Table, compare, read_baseline, table_of, write_baseline
from clrepro.errors import DataError
from clrepro.records import RunRecord


def table(seed: int, n_rows: int = 8, n_seeds: int = 3, spread: float = 0.01) -> Table:
    rng = np.random.default_rng(seed)
    rows = {}
    for row in range(n_rows):
        values = 0.5 + 0.04 * row + spread * rng.normal(size=n_seeds)
        rows["set/ting", f"m{row}"] = {k: {"RA": float(v), "FWT": math.nan} for k, v in enumerate(values)}
    return rows


def shifted(base: Table, by: float, rows: int | None = None, noise: float = 0.0, seed: int = 9) -> Table:
    rng = np.random.default_rng(seed)
    return {
        row: {
            k: {
                "RA": m["RA"] + (by if rows is None or i < rows else 0.0) + noise * rng.normal(),
                "FWT": math.nan,
            }
            for k, m in by_seed.items()
        }
        for i, (row, by_seed) in enumerate(base.items())
    }


def statuses(base: Table, fresh: Table) -> set[str]:
    return {verdict.status for verdict in compare(base, fresh)}


def test_equal_metrics_pass_with_nan_and_rounding() -> None:
    base = table(0)
    assert statuses(base, base) == {"equal"}
    assert statuses(base, shifted(base, 1e-14)) == {"equal"}


def test_chance_passes_at_about_the_stated_rate() -> None:
    """Other random numbers, same mean: at a false discovery rate of 5 % few of 100 checks may cry wolf."""
    alarms = sum("changed" in statuses(table(k), table(1000 + k)) for k in range(100))
    assert alarms <= 12


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_small_shift_of_all_rows_is_noticed(sign: int) -> None:
    """One spread in every row is too little for any single row of three seeds, but not for all together."""
    base = table(0)
    verdicts = compare(base, shifted(base, sign * 0.01, noise=0.008))
    changed = [verdict for verdict in verdicts if verdict.bad]
    assert "all rows" in [verdict.setting for verdict in changed]
    assert f"higher in {22 if sign > 0 else 2}" in str(changed[-1]) or "of 24 pairs" in str(changed[-1])


def test_a_shift_of_one_row_is_noticed_when_the_others_are_equal() -> None:
    base = table(0, n_rows=8, n_seeds=3)
    fresh = dict(base)
    fresh["set/ting", "m3"] = shifted(base, -0.08, noise=0.005)["set/ting", "m3"]
    changed = [verdict for verdict in compare(base, fresh) if verdict.bad]
    assert [(verdict.method, verdict.metric) for verdict in changed] == [("m3", "RA")]
    assert "mean difference in [-0.1" in changed[0].reason or "mean difference in [-0.0" in changed[0].reason
    assert "p =" in changed[0].reason


def test_the_same_shift_in_every_seed_is_no_chance() -> None:
    base = table(0, n_rows=1)
    (verdict,) = [v for v in compare(base, shifted(base, 1e-4)) if v.metric == "RA"]
    assert verdict.bad
    assert "the same shift in every seed" in verdict.reason


def test_one_seed_cannot_tell() -> None:
    base = table(0, n_rows=1, n_seeds=1)
    (verdict,) = [v for v in compare(base, shifted(base, 0.2)) if v.metric == "RA"]
    assert (verdict.status, verdict.bad) == ("compatible", False)
    assert "one seed cannot tell" in verdict.reason


def test_missing_new_and_no_longer_measured() -> None:
    base = table(0, n_rows=2)
    fresh = {row: dict(by_seed) for row, by_seed in table(0, n_rows=3).items()}
    fresh["set/ting", "m0"] = {0: fresh["set/ting", "m0"][0]}
    fresh["set/ting", "m1"] = {k: {"RA": math.nan} for k in range(3)}
    verdicts = {
        v.method: v for v in compare(base, fresh, {("set/ting", "m0", 1): "it failed"}) if v.status != "equal"
    }
    assert verdicts["m0"].status == "missing"
    assert "seed 1 (it failed)" in verdicts["m0"].reason
    assert (verdicts["m1"].status, verdicts["m1"].metric) == ("changed", "RA")
    assert (verdicts["m2"].status, verdicts["m2"].bad) == ("new", False)


def record(seed: int, **changes: Any) -> RunRecord:
    body: dict[str, Any] = {"paper": "p", "profile": "quick", "setting": "a/b", "method": "m", "seed": seed}
    body |= {
        "command": ["main.py"],
        "settings": {},
        "settings_hash": "0",
        "metrics": {"RA": 0.5, "FWT": math.nan},
    }
    return RunRecord(**(body | changes))


def test_a_baseline_round_trip_is_exact_and_in_one_order(tmp_path: Path) -> None:
    path = tmp_path / "ci" / "baselines" / "p.json"
    records = [record(1, metrics={"RA": 0.1 + 0.2, "FWT": math.nan}), record(0), record(2, status="failed")]
    write_baseline(path, "p", "quick", records)
    text = path.read_text()
    assert statuses(read_baseline(path, "p")[0], table_of(records)) == {"equal"}
    assert read_baseline(path, "p")[0]["a/b", "m"][1]["RA"] == 0.1 + 0.2
    write_baseline(path, "p", "quick", records[::-1])
    assert path.read_text() == text
    assert text.count("\n") == 11
    path.write_text(text.replace("0.30000000000000004", "0.30000000000000005"))
    assert read_baseline(path, "p")[0]["a/b", "m"][1]["RA"] == 0.1 + 0.2  # the same number
    path.write_text(text.replace("0.30000000000000004", "0.35"))
    with pytest.raises(DataError, match=r"p\.json: damaged \(its sha256"):
        read_baseline(path, "p")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"paper": "q"}, "not a baseline"),
        ({"schema": 2}, "not a baseline"),
        ({"runs": {}}, "not a baseline"),
        ({"runs": [3]}, "run 1"),
        ({"runs": [{"setting": "a", "method": "m", "seed": "0", "metrics": {}}]}, "run 1"),
        ({"runs": [{"setting": "a", "method": "m", "seed": 0, "metrics": {"RA": "x"}}]}, "metric 'RA'"),
        ({"runs": [{"setting": "a", "method": "m", "seed": 0, "metrics": {}}] * 2}, "run 2 repeats"),
    ],
)
def test_a_wrong_baseline_is_refused(change: dict[str, Any], named: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"paper": "p", "profile": "quick", "schema": 1, "runs": []} | change))
    with pytest.raises(DataError, match=named) as caught:
        read_baseline(path, "p")
    assert "p.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(DataError, match=r"p\.json"):
        read_baseline(tmp_path / "p.json", "p")
    with pytest.raises(DataError, match="--update"):
        read_baseline(tmp_path / "none.json", "p")
