"""The arena's tables, pictures and page, and one metric over all papers' matrices."""

import numpy as np
import pytest

from clrepro.arena.loop import METRICS as MEASURED
from clrepro.errors import UsageError
from clrepro.records import RunRecord
from clrepro.report.any_metric import matrix_of, metric_table
from clrepro.report.arena import arena_page
from clrepro.report.arena_figures import cliques, critical_difference, pareto, ranks, undecided
from clrepro.report.arena_table import human_bytes, stream_table
from clrepro.report.site import write_site

N = 8
MEANS = {"best": 0.9, "close": 0.895, "far": 0.5}


def record(method, seed, value=0.5, status="done", stream="mnist-rotations/2x40-m20", **more):
    metrics = dict.fromkeys(MEASURED, value) | {"memory_bytes": 2e6} if status == "done" else {}
    return RunRecord(
        paper="arena", profile="full", setting=stream, method=method, seed=seed, command=["arena", "{}"],
        settings={"told": "task"}, settings_hash="0", metrics=metrics, status=status,
        error="" if status == "done" else f"{status}_& for 5 % of reasons", cost={"train_s": 1.0 + seed},
        **more,
    )  # fmt: skip


@pytest.fixture
def records():
    shift = {"best": (0.0, 0.02), "close": (0.02, 0.0), "far": (0.0, 0.001)}  # of even and odd seeds
    found = [
        record(name, seed, mean + shift[name][seed % 2]) for name, mean in MEANS.items() for seed in range(N)
    ]
    return [*found, record("broken", 0, status="failed"), record("broken", 1, status="diverged")]


def test_lines_are_best_first_and_failures_stay_rows(records) -> None:
    table = stream_table("mnist-rotations/2x40-m20", records, "best")
    assert {line.method for line in table.lines[:2]} == {"best", "close"}
    assert [line.method for line in table.lines[2:]] == ["far", "broken"]
    assert table.lines[-1].failures == {"failed": 1, "diverged": 1}
    assert "| broken | no | 0 1 diverged, 1 failed | – |" in table.markdown()
    assert table.words.startswith("mnist-rotations/2x40-m20: best: better than 1, no difference found to 1")
    assert "of 2; Holm, n = 8" in table.words  # nothing is imputed for the broken one


def test_cells_are_means_with_students_interval(records) -> None:
    table = stream_table("mnist-rotations/2x40-m20", records, "best")
    line = next(line for line in table.lines if line.method == "far")
    values = 100 * np.array(list(line.values.values()))
    half = 2.3646 * values.std(ddof=1) / np.sqrt(N)  # t_7
    assert f"{values.mean():.2f} ± {half:.2f}" in table.markdown()
    assert "2.0 MB" in table.markdown()
    assert human_bytes(float("nan")) == "–"


def test_latex_is_escaped(records) -> None:
    text = stream_table("mnist-rotations/2x40-m20", records, "best").latex()
    assert r"final accuracy \%" in text
    assert "±" not in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len({line.replace(r"\&", "").count("&") for line in body}) == 1


def test_pairs_that_cannot_be_told_apart_share_a_bar(records) -> None:
    lines = stream_table("mnist-rotations/2x40-m20", records, "best").lines
    assert undecided(lines) == {frozenset(("best", "close"))}
    _, mean, n = ranks(lines)
    assert n == N
    assert mean["far"] == 3
    assert cliques(["a", "b", "c", "d"], {frozenset("ab"), frozenset("bc"), frozenset("cd")}) == [
        (0, 1), (1, 2), (2, 3),
    ]  # fmt: skip
    all_three = {frozenset("ab"), frozenset("bc"), frozenset("ac")}
    assert cliques(["a", "b", "c"], all_three) == [(0, 2)]


def test_pictures_name_every_method_once_and_are_the_same_twice(records) -> None:
    lines = stream_table("mnist-rotations/2x40-m20", records, "best").lines
    for draw in (critical_difference, pareto):
        svg = draw(lines, "x")
        assert svg == draw(lines, "x")
        assert svg.startswith("<svg")
        assert all(svg.count(f">{name} ") == 1 for name in MEANS)
        assert "broken" not in svg
        assert draw(lines[:1], "x") == ""


def test_the_page_shows_streams_and_ranks_and_is_linked(records, tmp_path) -> None:
    stream = "mnist-permutations/2x40-m20"
    other = [record(name, seed, MEANS[name], stream=stream) for name in MEANS for seed in (0, 1)]
    page = arena_page([*records, *other], "best")
    assert [rank.method for rank in page.ranks["full"]][:1] == ["best"]
    write_site(tmp_path, [], arena=page)
    text = (tmp_path / "report" / "arena.html").read_text()
    assert "mnist-permutations/2x40-m20" in text
    assert text.count("<svg") == 4
    assert 'href="arena.html"' in (tmp_path / "report" / "index.html").read_text()
    write_site(tmp_path / "none", [])
    assert not (tmp_path / "none" / "report" / "arena.html").exists()
    assert arena_page([], "best") is None


def with_series(paper, **series):
    return RunRecord(
        paper=paper, profile="full", setting="s", method="m", seed=0, command=["x"], settings={},
        settings_hash="0", metrics={}, series=series,
    )  # fmt: skip


def test_one_forgetting_for_matrices_in_any_order_and_for_epochs() -> None:
    nan = float("nan")
    r = np.array([[0.9, nan], [0.4, 0.8]])
    swapped = with_series("mer", R=r[:, ::-1].tolist(), order=[1, 0])
    epochs = with_series("ta_agem", a=[[0.5, nan], [0.9, nan], [0.6, 0.7], [0.4, 0.8]])
    for each in (with_series("tag", R=r.tolist()), swapped, epochs):
        np.testing.assert_array_equal(matrix_of(each), r)
    table, without = metric_table("forgetting", [swapped, epochs, with_series("rewire", R=[[3.0]])])
    assert "| mer | full | s | m | 1 | 50.00 |" in table
    assert "| ta_agem | full | s | m | 1 | 50.00 |" in table
    assert without == 1


def test_an_unknown_metric_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="--metric 'f': one of average_accuracy"):
        metric_table("f", [])
