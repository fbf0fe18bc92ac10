"""MLflow for real, in a store of its own: states, metrics, tags, artifacts; a broken store only warns."""

import logging
import sqlite3
from datetime import datetime

import numpy as np
import pytest

from ta_agem_repro import tracking
from ta_agem_repro.tracking import Tracker

pytest.importorskip("mlflow")
STAMP = datetime(2026, 1, 2, 3, 4, 5)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(tracking, "WAIT_S", 0.2)


def runs(result):
    connection = tracking.client()
    found = connection.get_experiment_by_name(result.settings.experiment_name)
    return connection, connection.search_runs([found.experiment_id])


@pytest.mark.filterwarnings("ignore")  # of the libraries that MLflow itself imports
def test_a_run_is_logged_whole(result, tmp_path):
    files = [tmp_path / "x.pkl", tmp_path / "x_clusters.html"]
    for path in files:
        path.write_text("content")
    tracker = Tracker(result.settings, STAMP)
    tracker.started()
    tracker.finished(result, files)
    connection, (run,) = runs(result)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == f"{result.settings.task_type}_20260102_030405"
    assert run.data.tags["source"] == "train"
    assert run.data.tags["dataset"] == result.settings.dataset_name
    assert len(run.data.params) >= 27
    assert run.data.metrics["final_overall_accuracy"] == pytest.approx(result.epochs[-1].overall)
    assert run.data.metrics["average_accuracy"] == pytest.approx(result.metrics()["A"])
    history = connection.get_metric_history(run.info.run_id, "overall_accuracy")
    np.testing.assert_allclose(
        [m.value for m in sorted(history, key=lambda m: m.step)], [e.overall for e in result.epochs]
    )
    task = result.task_order[0]
    assert len(connection.get_metric_history(run.info.run_id, f"task_{task}_accuracy")) == len(result.epochs)
    assert [f.path for f in connection.list_artifacts(run.info.run_id)] == ["metrics", "visualizations"]
    assert (tmp_path / "mlflow.db").is_file()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("problem", "status"), [(ValueError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_that_breaks_off_is_not_left_running(problem, status, result):
    tracker = Tracker(result.settings, STAMP)
    tracker.started()
    tracker.failed(problem)
    assert [run.info.status for run in runs(result)[1]] == [status]


def test_a_locked_store_is_one_warning_and_no_wait(result, tmp_path, caplog):
    held = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    tracker = Tracker(result.settings, STAMP)
    with caplog.at_level(logging.WARNING):
        tracker.started()
        tracker.finished(result, [])
        tracker.failed(ValueError())
    held.close()
    assert len(caplog.records) == 1
    assert "locked; training goes on without it" in caplog.records[0].getMessage()


def test_a_store_that_cannot_be_is_one_warning(result, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    Tracker(result.settings, STAMP).started()
    (record,) = caplog.records
    assert "unable to open database file" in record.getMessage()
    assert "\n" not in record.getMessage()
