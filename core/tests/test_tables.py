"""Tables: numbers as computed, rows in reading order, verdicts, cost and orderings beside them."""

import csv
import io
import json
import math

import numpy as np
import pytest

from clrepro.claims import Claims, Gap, Ordering, Reference, Second, Value
from clrepro.records import RunRecord
from clrepro.report.exports import table_json
from clrepro.report.tables import duration, results_table

CLAIMS = Claims(
    "Title",
    {"RA": "retained", "BTI": "backward"},
    ("a note",),
    (
        Value("full", "rot/200", "mer", "RA", "recalled", "memory", Reference(72.0, 0.1, 5)),
        Value("full", "rot/200", "gem", "RA", "logs", "logs", Reference(61.3, 0.2, 30)),
        Value("full", "rot/5120", "mer", "RA", "found", "table 1", Reference(90.0, 0.1, 5)),
        Value("full", "rot", "online", "RA", "not-found", "nobody knows"),
        Value("quick", "rot", "mer", "RA", "found", "elsewhere", Reference(1.0)),
    ),
    (
        Ordering("full", "C1", "rot/200", "RA", "mer", "gem", 0.0),
        Gap("full", "C2", "RA", "mer", "gem", larger="rot/200", smaller="rot/500", slack_pct=0.0),
        Ordering("full", "C1", "rot/200", "RA", "gem", "mer", 0.0),
        Ordering("quick", "C9", "rot", "RA", "a", "b", 0.0),
    ),
)


def record(setting, method, seed, value, **change):
    command = ["main.py", "--data_path", "{data}/", "--save_path", "{artefacts}/", "--note", "two words"]
    body = {
        "paper": "mer", "profile": "full", "setting": setting, "method": method, "seed": seed,
        "command": command, "settings": {}, "settings_hash": "0" * 64,
        "metrics": {"RA": value, "BTI": math.nan},
        "cost": {"wall_s": 60.0 * (seed + 1), "peak_rss_mb": 100.0 + seed},
    }  # fmt: skip
    return RunRecord(**{**body, **change})


def runs(setting, method, *values):
    return [record(setting, method, seed, value) for seed, value in enumerate(values)]


@pytest.fixture
def table():
    records = [
        *runs("perm", "online", 0.3),
        *runs("rot/200", "mer", 0.720, 0.722, 0.718),
        *runs("rot", "online", 0.5, 0.52),
        *runs("rot/200", "gem", 0.59, 0.60, 0.61),
        record("rot/200", "gem", 7, 0.99, status="failed", error="killed"),
        record("rot", "online", 8, math.nan),
    ]
    return results_table("mer", "full", records, CLAIMS)


def cell(table, setting, method, metric="RA"):
    row = next(row for row in table.rows if (row.setting, row.method) == (setting, method))
    return next(cell for cell in row.cells if cell.metric == metric)


def test_rows_are_grouped_by_family_and_setting(table):
    found = [(row.setting, row.method, row.n) for row in table.rows]
    assert found == [
        ("perm", "online", 1), ("rot/200", "mer", 3), ("rot/200", "gem", 3), ("rot", "online", 3)
    ]  # fmt: skip


def test_cells_are_percent_with_sample_spread_and_students_interval(table):
    mer = cell(table, "rot/200", "mer")
    values = np.array([72.0, 72.2, 71.8])
    assert mer.values == pytest.approx(tuple(values))
    assert mer.sd == pytest.approx(values.std(ddof=1))
    assert mer.interval.high - mer.interval.mean == pytest.approx(4.302653 * 0.2 / 3**0.5, abs=1e-5)
    assert (mer.ours, mer.bounds) == ("72.00 ± 0.20", "[71.50, 72.50]")
    assert (mer.target, mer.mark, mer.reference) == ("72.00 ± 0.10", "ʳ", "72.00 ± 0.10ʳ")
    assert (mer.verdict.word, mer.judgement) == ("reproduced", "reproduced")


def test_single_seeds_and_unmeasured_values_make_no_interval(table):
    one = cell(table, "perm", "online")
    assert (one.ours, one.bounds) == ("30.00", "")
    assert cell(table, "rot", "online").values == pytest.approx((50.0, 52.0))  # nan is not a value
    nothing = cell(table, "rot", "online", "BTI")
    assert (nothing.ours, nothing.verdict.word, nothing.judgement) == ("–", "no runs", "–")


def test_undecided_cells_say_how_many_more_seeds(table):
    gem = cell(table, "rot/200", "gem")
    assert gem.judgement == f"consistent (+{gem.verdict.more_seeds})"
    assert gem.verdict.more_seeds == next(row for row in table.rows if row.method == "gem").more_seeds
    assert next(row for row in table.rows if row.method == "mer").more_seeds is None


def test_targets_without_runs_and_reasons_for_missing_targets_are_kept(table):
    assert [(v.setting, v.method) for v in table.absent] == [("rot/5120", "mer")]
    assert cell(table, "rot", "online").verdict.reason == "nobody knows"
    assert table.has_reference("RA")
    assert not table.has_reference("BTI")


def test_cost_and_command_belong_to_the_row(table):
    row = next(row for row in table.rows if row.method == "mer")
    assert (row.minutes, row.peak_mb, row.seeds) == (2.0, 102.0, (0, 1, 2))
    assert row.command == "main.py --data_path data/ --save_path results/ --note 'two words'"
    assert table.hours == pytest.approx((1 + 6 + 3 + 6 + 9) / 60)  # the failed run does not count
    assert [duration(hours) for hours in (0.5, 1.99, 2.0)] == ["30 min", "119 min", "2.0 h"]


def test_orderings_of_the_profile_are_judged_claim_by_claim(table):
    assert [one.verdict.word for one in table.orderings] == ["holds", "fails", "no runs"]
    assert table.ordering_counts() == {"C1": {"holds": 1, "fails": 1}, "C2": {"no runs": 1}}
    assert table.orderings[0].text == "rot/200: RA of mer ≥ gem"
    assert table.orderings[2].text == "RA lead of mer over gem: rot/200 ≥ rot/500"


def test_markdown_leaves_out_columns_that_say_nothing(table):
    lines = table.markdown().splitlines()
    assert lines[0] == "| setting | method | n | RA | reference | verdict | BTI | min/run |"
    assert (
        lines[3]
        == "| rot/200 | mer | 3 | 72.00 ± 0.20 [71.50, 72.50] | 72.00 ± 0.10ʳ | reproduced | – | 2.00 |"
    )
    assert {line.count("|") for line in lines[:6]} == {9}
    assert "| C1 | 1 | 0 | 1 | 0 |" in lines
    assert lines[-1] == "- a note"
    assert any(line.startswith("10 runs, 25 min of computing.") for line in lines)


def test_a_second_reference_and_a_doubt_are_shown_beside_the_first():
    """In the cell's two columns, in the CSV and in the JSON; the counts stay those of the first reference."""
    second = Second(Reference(72.1, 0.2, 4), "measured", "ran")
    doubted = Value(
        "full", "rot/200", "mer", "RA", "recalled", "memory", Reference(60.0, 0.1), second=second,
        doubt="another says 61",
    )  # fmt: skip
    claims = Claims("T", {"RA": "retained"}, values=(doubted,))
    table = results_table("mer", "full", runs("rot/200", "mer", 0.720, 0.721, 0.722), claims)
    only = table.rows[0].cells[0]
    assert only.reference == "60.00 ± 0.10ʳ?; 72.10 ± 0.20ᵐ (n 4)"
    assert only.judgement == "differs; reproduced"
    assert table.counts() == {"differs": 1}
    (line,) = csv.DictReader(io.StringIO(table.csv()))
    assert [line[f"second_{name}"] for name in ("pct", "spread_pct", "n", "status", "verdict")] == [
        "72.1", "0.2", "4", "measured", "reproduced"
    ]  # fmt: skip
    assert line["doubt"] == "another says 61"
    body = json.loads(table_json(table))["rows"][0]["cells"][0]
    assert (body["second"]["verdict"], body["second"]["reference_pct"]["value"]) == ("reproduced", 72.1)
    assert body["doubt"] == "another says 61"


@pytest.mark.parametrize(
    ("values", "words"),
    [([0.60, 0.602, 0.598], "consistent (ref. "), ([0.58, 0.62, 0.60], "consistent (both ")],
)
def test_where_ours_never_decide_the_cell_says_how_many_of_the_reference(values, words):
    claim = Value("full", "rot", "mer", "RA", "recalled", "memory", Reference(60.0, 2.0))
    claims = Claims("T", {"RA": "r"}, values=(claim,))
    only = results_table("mer", "full", runs("rot", "mer", *values), claims).rows[0].cells[0]
    assert only.judgement == f"{words}{only.verdict.both_seeds[1]})"


def test_csv_has_a_line_per_cell_unrounded(table):
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    assert len(rows) == 2 * len(table.rows)
    gem = next(row for row in rows if (row["method"], row["metric"]) == ("gem", "RA"))
    assert float(gem["mean_pct"]) == pytest.approx(60.0, abs=1e-9)
    assert (gem["reference_n"], gem["reference_spread_pct"], gem["status"]) == ("30", "0.2", "logs")
    assert int(gem["more_seeds"]) > 0
    assert float(gem["peak_mb"]) == 102.0


def test_a_table_without_claims_shows_the_metrics_at_hand():
    table = results_table("mer", "full", runs("rot", "mer", 0.5, 0.6), Claims("T", {"RA": "RA"}))
    assert table.counts() == {"no reference": 1}
    assert "| rot | mer | 2 | 55.00 ± 7.07 [−8.53, 118.53] | 1.50 |" in table.markdown()


def test_a_metric_that_no_run_knows_is_no_column_unless_there_is_a_target():
    metrics = {"RA": "RA", "S": "return", "BTI": "backward"}
    wanted = Value("full", "rot", "mer", "S", "found", "table 1", Reference(1.0))
    claims = Claims("T", metrics, (), (wanted,))
    known = [record("rot", "mer", seed, 0.5, metrics={"RA": 0.5}) for seed in (0, 1)]
    assert list(results_table("mer", "full", known, claims).metrics) == ["RA", "S"]
    elsewhere = results_table("mer", "quick", [record("rot", "mer", 0, 0.5, metrics={"RA": 0.5})], claims)
    assert list(elsewhere.metrics) == ["RA"]
    assert elsewhere.markdown().startswith("| setting | method | n | RA | min/run |")
    assert [cell.metric for row in elsewhere.rows for cell in row.cells] == ["RA"]


def test_a_metric_that_is_no_share_has_a_scale_of_its_own():
    claims = Claims("T", {"RA": "RA", "BTI": "nats"}, scales={"BTI": 1.0})
    known = [record("rot", "mer", seed, 0.5, metrics={"RA": 0.5, "BTI": -27.25}) for seed in (0, 1)]
    assert (
        "| rot | mer | 2 | 50.00 ± 0.00 [50.00, 50.00] | −27.25 ± 0.00"
        in results_table("mer", "full", known, claims).markdown()
    )
