"""The page that `mlflow ui` shows of a run, in a browser; the server is stopped by its own process group."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from datetime import datetime

import pytest

from ta_agem_repro import tracking
from ta_agem_repro.tracking import Tracker

pytest.importorskip("mlflow")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def served(folder):
    """`mlflow ui` as the README says, on a free port of the loopback; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db"]
    with (folder / "ui.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"], cwd=folder,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            if server.poll() is not None:
                raise AssertionError((folder / "ui.log").read_text()[-2000:])
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def page(address, folder):
    """The page's text once its script has run."""
    done = subprocess.run(
        [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
         "--virtual-time-budget=20000", "--dump-dom", address],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.filterwarnings("ignore")  # of the libraries that MLflow itself imports
def test_the_page_of_a_run_shows_its_state_its_tags_its_metrics_and_its_files(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    figure = tmp_path / "x_clusters.html"
    figure.write_text("<p>clusters</p>")
    tracker = Tracker(result.settings, datetime(2026, 1, 2, 3, 4, 5))
    tracker.started()
    tracker.finished(result, [figure])
    connection = tracking.client()
    experiment = connection.get_experiment_by_name(result.settings.experiment_name)
    (run,) = connection.search_runs([experiment.experiment_id])
    with served(tmp_path) as address:
        run_page = f"{address}/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}"
        overview, files = page(run_page, tmp_path), page(f"{run_page}/artifacts", tmp_path)
    for part in (
        "permutation_20260102_030405",
        "Finished",
        "task_type",
        "final_overall_accuracy",
        "Model metrics",
    ):
        assert part in overview, part
    assert "visualizations" in files
