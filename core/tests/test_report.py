"""Tables and page: numbers as computed, text escaped, nothing fetched from outside."""

import csv
import io
import math
import re

import numpy as np
import pytest

from clrepro.claims import Claims, Ordering, Reference, Value
from clrepro.errors import DataError
from clrepro.records import RunRecord
from clrepro.report import readme_block, results_table, write_page

VALUES = {"good": [0.70, 0.702, 0.698], "bad": [0.5, 0.52, 0.51]}
CLAIMS = Claims(
    "A <title>",
    {"RA": "retained", "BTI": "backward"},
    ("a note",),
    (Value("quick", "s/200", "good", "RA", "recalled", "memory & co", Reference(70.0, 0.1, 3)),),
    (
        Ordering("quick", "C1", "s/200", "RA", "good", "bad", 0.0),
        Ordering("full", "C9", "s", "RA", "a", "b", 0.0),
    ),
)


def record(method, seed, value, **change):
    matrix = np.full((2, 2), value).tolist()
    body = {
        "paper": "mer", "profile": "quick", "setting": "s/200", "method": method, "seed": seed,
        "command": ["main.py", "--model", method], "settings": {}, "settings_hash": "0" * 64,
        "metrics": {"RA": value, "BTI": math.nan}, "series": {"R": matrix}, "cost": {"wall_s": 90.0},
    }  # fmt: skip
    return RunRecord(**{**body, **change})


@pytest.fixture
def table():
    records = [record(m, seed, v) for m, values in VALUES.items() for seed, v in enumerate(values)]
    return results_table(
        "mer", "quick", [*records, record("bad", 9, 0.9, status="failed", error="x")], CLAIMS
    )


def test_cells_hold_mean_spread_interval_and_verdict(table):
    good, bad = table.rows
    cell = good.cells[0]
    assert (cell.ours, cell.reference, cell.verdict.word) == ("70.00 ± 0.20", "70.00 ± 0.10ʳ", "reproduced")
    assert cell.bounds == "[69.50, 70.50]"
    assert (bad.n, bad.minutes) == (3, 1.5)
    assert bad.cells[0].verdict.word == "no reference"
    assert good.cells[1].ours == "–"
    assert table.counts() == {"no reference": 1, "no runs": 2, "reproduced": 1}
    assert table.ordering_counts() == {"C1": {"holds": 1}}


def test_markdown_has_a_line_per_row(table):
    lines = table.markdown().splitlines()
    assert [
        line for line in lines if line.startswith("| s/200 | good | 3 | 70.00 ± 0.20 [69.50, 70.50] | 70.00")
    ]
    width = lines[0].count("|")
    assert all(line.count("|") == width for line in lines[:4])
    assert "| C1 | 1 | 0 | 0 | 0 |" in lines


def test_csv_holds_unrounded_numbers(table):
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    assert len(rows) == 4
    assert float(rows[0]["mean_pct"]) == pytest.approx(70.0)
    assert float(rows[0]["low_pct"]) == pytest.approx(69.5032, abs=1e-3)
    assert rows[0]["status"] == "recalled"


def test_page_is_one_file_without_outside_requests(table, tmp_path):
    html = write_page(tmp_path / "report.html", [table]).read_text()
    assert "A &lt;title&gt;" in html
    assert "memory &amp; co" in html
    assert not re.search(r'(src|href)="(https?:)?//|@import|url\((?!#)', html)
    assert html.count("<tr><td>s/200</td>") == 2
    assert "python main.py --model good" in html
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_page_without_runs_says_what_to_do(tmp_path):
    assert "cl-repro reproduce" in write_page(tmp_path / "report.html", []).read_text()


def test_figures_are_the_same_twice_and_scalable(table):
    pytest.importorskip("matplotlib")
    from clrepro.report.figures import comparison, learning_curves

    assert comparison(table, "RA") == comparison(table, "RA")
    assert comparison(table, "RA")["s/200"].startswith("<svg")
    assert learning_curves(table, "s/200").startswith("<svg")
    assert learning_curves(table, "elsewhere") is None


def test_readme_block_replaces_only_what_is_between_its_markers():
    text = "before\n<!-- results:mer -->\nold\n<!-- /results:mer -->\nafter\n"
    new = readme_block(text, "| new |", "mer")
    assert new == "before\n<!-- results:mer -->\n| new |\n<!-- /results:mer -->\nafter\n"
    assert readme_block(new, "| new |", "mer") == new
    with pytest.raises(DataError, match="markers"):
        readme_block("nothing here", "x", "mer")
