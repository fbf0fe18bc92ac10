"""Figures: the numbers of the run stand in them, and the pages need nothing from outside."""

import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("plotly")
from ta_agem_repro import figures
from ta_agem_repro.visualizer import TAGemVisualizer, Timer


def test_every_figure_is_made_with_titles_and_labels(result):
    made = figures.build(result)
    assert set(made) == {*figures.FIGURES, "clusters"}
    for name, figure in made.items():
        assert figure.layout.title.text, name
        if name not in ("clusters", "dashboard"):
            assert figure.layout.xaxis.title.text, name
            assert figure.layout.yaxis.title.text, name


def test_accuracies_stand_in_their_traces(result):
    figure, a = figures.per_task_accuracy(result), result.matrix()
    assert [trace.name for trace in figure.data] == [str(task) for task in result.task_order]
    for trace, task in zip(figure.data, result.task_order, strict=True):
        np.testing.assert_allclose(trace.y, a[list(trace.x), task])
        assert not np.isnan(trace.y).any()
    assert tuple(figure.layout.yaxis.range) == (0, 1)
    assert len(figure.layout.shapes) == len(result.boundaries) - 1


def test_one_trace_per_task_not_per_epoch(result):
    for make in (figures.epoch_losses, figures.batch_losses, figures.forgetting):
        assert len(make(result).data) == len(result.task_order)


def test_batch_losses_are_thinned(result):
    n = 9001
    long = replace(
        result, batch_task=np.zeros(n, np.int16), batch_epoch=np.zeros(n, np.int16),
        batch_number=np.arange(n, dtype=np.int32), batch_loss=np.arange(n, dtype=np.float32),
    )  # fmt: skip
    (points,) = [trace for trace in figures.batch_losses(long).data if len(trace.x)]
    assert 1500 < len(points.x) <= 2000
    np.testing.assert_array_equal(points.x, points.y)


def test_forgetting_is_the_distance_from_the_best_so_far(result):
    a = result.matrix()
    trace = figures.forgetting(result).data[0]
    column = a[~np.isnan(a[:, result.task_order[0]]), result.task_order[0]]
    np.testing.assert_allclose(trace.y, [column[: k + 1].max() - column[k] for k in range(len(column))])


def test_clusters_of_a_filled_and_of_an_empty_memory(result):
    figure = figures.clusters(result.final_memory)
    labels = np.unique(result.final_memory["labels"])
    assert [trace.name for trace in figure.data] == [f"pool {label}" for label in labels]
    assert sum(len(trace.x) for trace in figure.data) == len(result.final_memory["labels"])
    assert sum(bool(trace.visible) for trace in figure.data) == 1
    assert "nothing stored" in figures.clusters({}).layout.title.text


def test_principal_directions_keep_distances_where_three_suffice():
    x = np.random.default_rng(0).normal(size=(9, 3)) @ np.random.default_rng(1).normal(size=(3, 20))
    shown = figures.principal(x)
    np.testing.assert_allclose(
        np.linalg.norm(shown[:, None] - shown, axis=-1), np.linalg.norm(x[:, None] - x, axis=-1), atol=1e-9
    )
    assert figures.principal(x[:1]).tolist() == [[0, 0, 0]]


def test_pages_are_written_and_ask_for_nothing_from_outside(result, tmp_path):
    paths = TAGemVisualizer(result).save(tmp_path / "results-x")
    assert [path.name for path in paths] == [
        f"results-x_{name}.html" for name in ("per_task_accuracy", "overall_accuracy", "clusters")
    ]
    for path in paths:
        page = path.read_text(encoding="utf-8")
        assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
        assert "Plotly.newPlot" in page


def test_the_timer_adds_up(monkeypatch):
    clock = iter([0.0, 1.0, 5.0, 8.0])
    monkeypatch.setattr("ta_agem_repro.visualizer.time.perf_counter", lambda: next(clock))
    timer = Timer()
    for _ in range(2):
        timer.start("eval")
        timer.end("eval")
    row = next(line for line in str(timer).splitlines() if line.startswith("eval"))
    assert row.split() == ["eval", "4.00", "2", "2000.000", "1000.000", "3000.000"]
    with pytest.raises(KeyError):
        timer.end("eval")
