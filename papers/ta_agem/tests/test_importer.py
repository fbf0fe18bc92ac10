"""Past runs into MLflow and out again: equal curves, nothing twice, nothing hostile."""

import os
import pickle
import shutil

import numpy as np
import pytest

from ta_agem_repro import tracking
from ta_agem_repro.analysis import importer, mlflow_analysis

pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that MLflow itself imports


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def folder(result, tmp_path):
    """A folder `past` with one run's files."""
    from datetime import datetime

    from ta_agem_repro.outputs import write_all

    write_all(result, tmp_path / "past", datetime(2026, 1, 2, 3, 4, 5))
    return tmp_path / "past"


def runs(name="past"):
    connection = tracking.client()
    found = connection.get_experiment_by_name(name)
    return connection, connection.search_runs([found.experiment_id]) if found else []


def test_a_run_is_imported_whole_and_only_once(result, folder, capsys):
    assert importer.main(["--input_dir", str(folder), "--all"]) == 0
    connection, (run,) = runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["source"] == "imported"
    assert run.data.tags["original_filename"].endswith(".pkl")
    history = connection.get_metric_history(run.info.run_id, "overall_accuracy")
    np.testing.assert_allclose([m.value for m in history], [e.overall for e in result.epochs])
    losses = connection.get_metric_history(run.info.run_id, "batch_loss")
    np.testing.assert_allclose([m.value for m in losses], result.batch_loss[::10], rtol=1e-6)
    assert run.data.metrics["final_accuracy"] == pytest.approx(result.epochs[-1].overall)
    assert [f.path for f in connection.list_artifacts(run.info.run_id)] == ["original_data"]
    assert importer.main(["--input_dir", str(folder), "--all"]) == 0
    assert "there already" in capsys.readouterr().out
    assert len(runs()[1]) == 1


def test_the_newest_come_first_and_a_dry_run_changes_nothing(folder, tmp_path, capsys):
    (path,) = folder.glob("*.pkl")
    older = folder / "ta_agem_metrics_old.pkl"
    shutil.copy(path, older)
    os.utime(older, (1, 1))
    assert importer.main(["--input_dir", str(folder), "--last", "1", "--dry_run"]) == 0
    assert path.name in (shown := capsys.readouterr().out)
    assert older.name not in shown
    assert not (tmp_path / "mlflow.db").exists()


def test_hostile_and_broken_files_are_named_and_left_out(folder, capsys):
    (folder / "bad.pkl").write_bytes(b"cos\nsystem\n(S'touch mark'\ntR.")
    (folder / "cut.pkl").write_bytes(pickle.dumps({"a": 1})[:-3])
    assert importer.main(["--input_dir", str(folder), "--all"]) == 0
    shown = capsys.readouterr().out
    assert "asks for os.system" in shown
    assert "cut.pkl" in shown
    assert "1 imported into past, 2 left out" in shown
    assert not (folder.parent / "mark").exists()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--input_dir", "past"], 1, "--all, or --last N"),
        (["--input_dir", "none", "--all"], 1, "no such folder"),
        (["--all"], 2, "--input_dir"),
        (["--input_dir", ".", "--all"], 1, "holds no .pkl file"),
    ],
)
def test_mistakes_are_one_line_and_a_code(words, code, part, folder, capsys):
    assert importer.main(words) == code
    stderr = capsys.readouterr().err
    assert part in stderr
    assert stderr.count("\n") == 1


def test_experiments_are_compared(result, folder, tmp_path, capsys):
    importer.main(["--input_dir", str(folder), "--all"])
    capsys.readouterr()
    assert mlflow_analysis.main(["-e", "past", "--output_dir", "out"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == [
        "past", result.settings.task_type, "1", f"{result.epochs[-1].overall:.4f}",
        f"{np.mean([e.overall for e in result.epochs]):.4f}",
    ]  # fmt: skip
    assert "Plotly.newPlot" in (tmp_path / "out" / "overall_accuracy.html").read_text(encoding="utf-8")
    assert mlflow_analysis.main(["-e", "other"]) == 1
    assert "there are Default, past" in capsys.readouterr().err
    assert mlflow_analysis.main(["-e", "past", "--metric", "no"]) == 1
