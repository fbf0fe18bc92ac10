"""Figures: the numbers of the run stand in them, and the pages need nothing from outside."""

import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("plotly")
from ta_agem_repro import figures
from ta_agem_repro.console import whole_and_parts
from ta_agem_repro.pages import LIBRARY, described, write_page
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
    pools, keys = figure.data[: len(labels)], figure.data[len(labels) :]
    assert [trace.name for trace in pools] == [f"pool {label}" for label in labels]
    assert sum(len(trace.x) for trace in pools) == len(result.final_memory["labels"])
    assert [trace.visible for trace in pools] == [True, False]
    for pool, label in zip(pools, labels, strict=True):
        mine = result.final_memory["labels"] == label
        assert list(pool.marker.color) == result.final_memory["clusters"][mine].tolist()
        sizes = np.array(pool.marker.size)[np.argsort(result.final_memory["arrivals"][mine])]
        assert (np.diff(sizes) > 0).all()
        assert (sizes[0], sizes[-1]) == (figures.SMALLEST, figures.LARGEST)
    # The legend: a shape for each task, the sizes of the oldest and the newest, a scale of the clusters.
    assert [trace.name for trace in keys] == ["task 0", "task 1", "oldest sample", "newest sample"]
    assert all(trace.showlegend is not False for trace in keys)
    shapes = {trace.name: trace.marker.symbol for trace in keys}
    tasks = result.final_memory["task_ids"][result.final_memory["labels"] == labels[0]]
    assert [shapes[f"task {task}"] for task in tasks] == list(pools[0].marker.symbol)
    assert pools[0].marker.colorbar.title.text == "cluster"
    (menu,) = figure.layout.updatemenus
    assert [list(button.args[0]["visible"]) for button in menu.buttons] == [
        [True, False, *[True] * 4], [False, True, *[True] * 4],
    ]  # fmt: skip
    assert "nothing stored" in figures.clusters({}).layout.title.text


def test_principal_directions_keep_distances_where_three_suffice():
    x = np.random.default_rng(0).normal(size=(9, 3)) @ np.random.default_rng(1).normal(size=(3, 20))
    shown = figures.principal(x)
    np.testing.assert_allclose(
        np.linalg.norm(shown[:, None] - shown, axis=-1), np.linalg.norm(x[:, None] - x, axis=-1), atol=1e-9
    )
    assert figures.principal(x[:1]).tolist() == [[0, 0, 0]]


def test_tasks_that_share_a_shape_share_a_line_of_the_legend():
    memory = {
        "samples": np.eye(3), "labels": np.zeros(3, int), "task_ids": np.array([0, 8, 1]),
        "clusters": np.zeros(3, int), "arrivals": np.arange(3),
    }  # fmt: skip
    assert [trace.name for trace in figures.clusters(memory).data[1:3]] == ["task 0, 8", "task 1"]


def test_axes_say_epochs_or_every_how_many_batches(result):
    assert figures.overall_accuracy(result).layout.xaxis.title.text == "epoch"
    often = replace(result, settings=replace(result.settings, testing_interval=50))
    assert "every 50 batches" in figures.overall_accuracy(often).layout.xaxis.title.text


def test_pages_are_written_and_ask_for_nothing_from_outside(result, tmp_path):
    paths = TAGemVisualizer(result).save(tmp_path / "results-x")
    assert [path.name for path in paths] == [
        f"results-x_{name}.html" for name in ("per_task_accuracy", "overall_accuracy", "clusters")
    ]
    for path in paths:
        page = path.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|link)[^>]+(?:src|href)=\"([^\"]+)", page) == [LIBRARY]
        assert "Plotly.newPlot" in page
        assert "digits · permutation · ta-agem, remove oldest · seed 7</title>" in page
        assert "<strong>A 68.00 %, A_T 75.00 %, F1 15.00 %, F 20.00 %, T1 72.50 %</strong>" in page
    assert (tmp_path / LIBRARY).stat().st_size > 10**6
    assert sum(path.stat().st_size for path in paths) < 10**5


def test_words_of_a_foreign_file_are_text_in_a_page(result, tmp_path):
    class Foreign:
        params: ClassVar[dict[str, str]] = {"dataset_name": "<script>alert(1)</script>", "seed": "&"}
        metrics = result.metrics

    write_page(described(figures.training_times(result), Foreign()), tmp_path / "x.html", Foreign())
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_table_of_times_lists_no_part_above_its_whole():
    spent = {
        "init": [1.0], "training": [0.1] * 3, "get from memory": [0.2], "optimize": [2.0, 3.0], "eval": [9.0],
    }  # fmt: skip
    found = whole_and_parts(spent)
    assert list(found) == [
        "init", "training", "  open batches", "  get from memory", "  optimize", "eval",
    ]  # fmt: skip
    assert sum(found["training"]) == pytest.approx(5.5)
    assert sum(sum(part) for name, part in found.items() if name.startswith(" ")) == pytest.approx(5.5)


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
