"""Folders of runs against each other: the tests, who is best, the plots, the files."""

import csv
import math
import re

import numpy as np
import pytest
from scipy import stats

from ta_agem_repro.analysis import compare, curves
from ta_agem_repro.reader import newest

FAR = {"low": (-0.22, -0.2, -0.18), "high": (0.0, 0.01, 0.02)}
NEAR = {"low": (-0.02, 0.0, 0.02), "high": (-0.01, 0.01, 0.03)}


@pytest.fixture
def folders(tmp_path, monkeypatch, write_run):
    """A function that fills folders with runs; their names are relative, as a user types them."""
    monkeypatch.chdir(tmp_path)

    def fill(moves, **settings):
        for folder, bys in moves.items():
            for by in bys:
                write_run(tmp_path / folder, by, **settings)
        return list(moves)

    return fill


def test_welch_is_scipys_and_not_students():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 5), rng.normal(1, 5, 9)
    va, vb = a.var(ddof=1) / 5, b.var(ddof=1) / 9
    t = (a.mean() - b.mean()) / math.sqrt(va + vb)
    freedom = (va + vb) ** 2 / (va**2 / 4 + vb**2 / 8)
    assert compare.welch(list(a), list(b)) == pytest.approx(2 * stats.t.sf(abs(t), freedom))


def test_welch_at_its_edges():
    assert math.isnan(compare.welch([0.5], [0.4, 0.6]))
    assert compare.welch([0.5, 0.5], [0.5, 0.5, 0.5]) == 1.0
    assert compare.welch([0.5, 0.5], [0.6, 0.6]) == 0.0


def test_a_clear_difference_is_significant_and_the_better_folder_is_best(folders, capsys):
    assert compare.main(folders(FAR)) == 0
    text = capsys.readouterr().out
    p = stats.ttest_ind(FAR["low"], FAR["high"], equal_var=False).pvalue
    assert p < 0.01
    assert f"high > low: significant, p = {p:.3g}" in text
    assert "low: 0.4800 ± 0.0200 (n = 3)" in text
    assert "best: high\n" in text
    assert "no plots" in text


def test_without_a_significant_difference_both_are_best(folders, capsys):
    compare.main(folders(NEAR))
    text = capsys.readouterr().out
    assert "low and high: not significant" in text
    assert "best: low, high\n" in text


def test_best_is_who_cannot_be_told_from_the_leader():
    values = {"a": [0.9, 0.91], "b": [0.89, 0.92], "c": [0.5, 0.51], "single": [0.2]}
    pairs = [
        compare.Pair("a", "b", 0.9), compare.Pair("a", "c", 0.001), compare.Pair("b", "c", 0.001),
        compare.Pair("a", "single", math.nan), compare.Pair("b", "single", math.nan),
    ]  # fmt: skip
    assert compare.best(values, pairs) == ["a", "b"]


def test_the_border_of_significance_is_below_one_percent():
    assert compare.Pair("a", "b", 0.00999).significant
    assert not compare.Pair("a", "b", 0.01).significant
    assert not compare.Pair("a", "b", math.nan).significant


def test_a_single_run_is_shown_and_not_tested(folders, capsys):
    compare.main(folders({"one": (0.0,), "two": (0.05, 0.06)}))
    text = capsys.readouterr().out
    assert "one: 0.6800 (n = 1)" in text
    assert "one and two: not tested" in text
    assert "best: two\n" in text


def test_task_types_are_kept_apart(folders, capsys):
    folders(NEAR)
    names = folders(FAR, task_type="rotation")
    compare.main(names)
    text = capsys.readouterr().out
    permutation, rotation = text.split("rotation: average accuracy A")
    assert "not significant" in permutation
    assert "high > low" in rotation
    assert compare.main([*names, "-t", "rotation"]) == 0
    assert "permutation" not in capsys.readouterr().out


def test_settings_that_differ_are_told_and_seeds_are_not(folders, capsys):
    folders({"low": (0.0, 0.1)}, seed=1)
    folders({"high": (0.0, 0.1)}, seed=2, removal_function="remove_based_on_mean")
    compare.main(["low", "high"])
    differing = [line for line in capsys.readouterr().out.splitlines() if line.startswith("differs")]
    assert differing == ["differs: removal_function: low 'remove_oldest'; high 'remove_based_on_mean'"]


def test_plots_and_csv(folders, tmp_path, capsys):
    pytest.importorskip("plotly")
    names = folders(FAR)
    folders(NEAR, task_type="rotation")
    assert compare.main([*names, "--output_dir", "out"]) == 0
    pages = sorted((tmp_path / "out").glob("*.html"))
    assert [re.sub(r"_\d{8}_\d{6}", "", page.name) for page in pages] == [
        "accuracy_comparison_permutation.html", "accuracy_comparison_rotation.html",
    ]  # fmt: skip
    text = pages[0].read_text(encoding="utf-8")
    assert len(text) < 10**6  # plotly itself stands beside it, once
    assert re.findall(r"<(?:script|link)[^>]*(?:src|href)\s*=\s*\"([^\"]+)", text) == ["plotly.min.js"]
    assert (tmp_path / "out" / "plotly.min.js").stat().st_size > 10**6
    with open(next((tmp_path / "out").glob("comparison_results_*.csv")), newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "Task Type": "permutation", "Directory": "low", "Mean Accuracy": "0.480000",
        "Std Deviation": "0.020000", "Count": "3", "Is Best": "False",
    }  # fmt: skip
    assert [row["Is Best"] for row in rows] == ["False", "True", "True", "True"]


def test_the_band_is_one_sample_deviation_about_the_mean(folders, tmp_path):
    pytest.importorskip("plotly")
    folders(FAR)
    runs = {folder: newest(tmp_path / folder)[0] for folder in FAR}
    drawn = curves.figure("permutation", runs)
    band, line = drawn.data[:2]
    base = np.array([0.5, 0.9, 0.56, 0.76]) - 0.2
    np.testing.assert_allclose(line.y, base)
    np.testing.assert_allclose(band.y[:4], base + 0.02)
    np.testing.assert_allclose(band.y[4:][::-1], base - 0.02)
    assert (line.name, drawn.layout.yaxis.range) == ("low (n = 3)", (0, 1))
    assert len(drawn.data) == 4


def test_runs_of_different_lengths_are_cut_to_what_they_share(folders, tmp_path, write_run, capsys):
    pytest.importorskip("plotly")
    folders({"low": (0.0, 0.1)})
    write_run(tmp_path / "low", epochs=3)
    drawn = curves.figure("permutation", {"low": newest(tmp_path / "low")[0]})
    assert "low, permutation: runs of 3 to 4 epochs; the first 3 are shown" in capsys.readouterr().out
    assert list(drawn.data[1].x) == [0, 1, 2]


def looks_for(monkeypatch, package, instead):
    """Make the search for a package find another one, or none; all other searches stay."""
    real = curves.importlib.util.find_spec

    def find_spec(name, *more):
        name = instead if name == package else name
        return None if name is None else real(name, *more)

    monkeypatch.setattr(curves.importlib.util, "find_spec", find_spec)


def test_png_without_kaleido_is_a_notice(folders, tmp_path, monkeypatch, capsys):
    pytest.importorskip("plotly")
    looks_for(monkeypatch, "kaleido", None)
    assert compare.main([*folders(FAR), "--output_dir", "out", "--png"]) == 0
    assert "no PNG of permutation: the package kaleido is not installed" in capsys.readouterr().out
    assert not list((tmp_path / "out").glob("*.png"))


def test_a_kaleido_that_fails_is_a_notice_too(folders, tmp_path, monkeypatch, capsys):
    go = pytest.importorskip("plotly.graph_objects")

    def no_browser(self, **options):
        raise RuntimeError("no browser\nanywhere")

    looks_for(monkeypatch, "kaleido", "json")
    monkeypatch.setattr(go.Figure, "to_image", no_browser)
    assert compare.main([*folders(FAR), "--output_dir", "out", "--png"]) == 0
    assert "no PNG of permutation: kaleido failed (no browser anywhere)" in capsys.readouterr().out
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        ([], 2, "DIR"),
        (["low"], 2, "one folder"),
        (["low", "low"], 2, "one folder"),
        (["low", "none"], 1, "no such folder"),
        (["low", "empty"], 1, "no results of runs"),
        (["low", "high", "-t", "rotation"], 1, "task type rotation"),
        (["low", "high", "-t", "spin"], 2, "invalid choice"),
        (["low", "high", "--png"], 2, "--output_dir"),
    ],
)
def test_mistakes_end_in_one_line(folders, tmp_path, capsys, argv, code, reason):
    folders(FAR)
    (tmp_path / "empty").mkdir()
    assert compare.main(argv) == code
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1
