"""MLflow for real, in a store of its own: states, metrics, tags, artifacts; a broken store only warns."""

import logging
import os
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path

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


TOGETHER = """
import sys, time
from ta_agem_repro import tracking
import mlflow
print("ready", flush=True)
sys.stdin.readline()
connection = tracking.client()
run = connection.create_run(tracking.experiment(connection, "fresh"))
print(run.info.run_id)
"""


def test_runs_that_start_together_in_a_fresh_folder_share_one_store():
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", TOGETHER], text=True, env=environment, **pipes
        )
        for _ in range(2)
    ]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    made = []
    for run in runs:
        said, problem = run.communicate(timeout=300)
        assert run.returncode == 0, problem
        made.append(said.strip())
    connection = tracking.client()
    found = connection.search_runs([connection.get_experiment_by_name("fresh").experiment_id])
    assert sorted(run.info.run_id for run in found) == sorted(made)


@pytest.mark.filterwarnings("ignore")
def test_a_store_whose_making_breaks_off_is_not_there(monkeypatch, tmp_path):
    def broken(tracking_uri):
        Path(tracking_uri.removeprefix("sqlite:///")).write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mlflow.MlflowClient", broken)
        with pytest.raises(KeyboardInterrupt):
            tracking.client()
    (tmp_path / ".mlflow.db.0.tmp").write_text("of a run that was killed")
    tracking.experiment(tracking.client(), "later")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mlflow.db.lock", "mlflow.db"]


def test_a_half_made_store_is_named_with_its_cure(result, tmp_path, caplog):
    with sqlite3.connect(tmp_path / "mlflow.db") as half:
        half.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        half.execute("CREATE TABLE _alembic_tmp_tags (key TEXT)")
    half.close()
    Tracker(result.settings, STAMP).started()
    (record,) = caplog.records
    assert "mlflow.db is half made" in record.getMessage()
    assert "move it away, start again" in record.getMessage()


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
