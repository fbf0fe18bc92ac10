"""The progress on stderr: lines in a pipe, and what a run that goes on within a task says."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clrepro.io.checkpoint import RunDir
from clrepro.progress import VARIABLE, Progress
from rewire_repro import config, experiment, framework

pytest.importorskip("hydra")
PAPER = Path(__file__).resolve().parents[1]
BAR = set("\r\x1b━╸╺#█")
TINY = [
    "scenario=toy/robustness", "profile=quick", "scenario.n_steps=400", "scenario.tasks=[plain,inverted]",
    "framework.params.policy_agent.hidden_size=8",
]  # fmt: skip


def test_a_pipe_gets_a_line_per_finished_task(tmp_path):
    done = subprocess.run(
        [sys.executable, str(PAPER / "run.py"), "-cn=ft_n", *TINY], cwd=tmp_path, capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", VARIABLE: "0"}, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    told = done.stderr.decode()
    lines = [line.rpartition(",")[0] for line in told.splitlines()]
    assert lines == ["task 1/2, 50 %", "task 2/2, 100 %"]
    assert not BAR & set(told + done.stdout.decode())
    assert "left" not in done.stdout.decode()


class Stopping(Progress):
    """Stops in the second task, when it is told of its second epoch: the first is saved then."""

    told = 0

    def tell(self, course, is_new):
        self.told += course.finished == 1 and not is_new
        if self.told == 2:
            raise KeyboardInterrupt


def test_a_run_that_goes_on_within_a_task_counts_what_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(framework, "LOG_EVERY", 1)
    node = config.compose("ft_n", [*TINY, "checkpoint_minutes=0"])
    out, folder = io.StringIO(), RunDir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(config.settings(node), node, folder, folder, Stopping(stream=out))
    starts = []
    real = Progress.run
    monkeypatch.setattr(Progress, "run", lambda self, *words: starts.append(words) or real(self, *words))
    experiment.run(config.settings(node), node, folder, folder, Progress(stream=out, delay=0.0))
    assert [line.partition(" %")[0] for line in out.getvalue().splitlines()] == ["task 2/2, 100"]
    ((n_tasks, done),) = starts
    assert n_tasks == 2
    assert 1 < done < 2
