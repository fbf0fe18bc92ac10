"""The progress on stderr: lines in a pipe, and what a resumed run says."""

import io
import re

import pytest

from clrepro.io.checkpoint import RunDir
from clrepro.progress import VARIABLE, Progress
from mer_repro import train
from mer_repro.cli import main, parse
from mer_repro.streams import load_tasks

BAR = set("\r\x1b━╸╺#█")


def flags(task_files, tmp_path):
    return [
        *("--model", "online", "--n_hiddens", "10", "--samples_per_task", "20", "--log_every", "7"),
        *("--data_path", f"{task_files}/", "--data_file", "dense.pt", "--save_path", f"{tmp_path}/"),
    ]


def test_a_pipe_gets_a_line_per_finished_task_and_stdout_stays_the_originals(
    task_files, tmp_path, capfd, monkeypatch
):
    outputs = []
    for delay in ("inf", "0"):
        monkeypatch.setenv(VARIABLE, delay)
        assert main(flags(task_files, tmp_path)) == 0
        outputs.append(capfd.readouterr())
    quiet, told = outputs
    assert quiet.err == ""
    lines = told.err.splitlines()
    n = len(lines)
    assert n == load_tasks(task_files / "dense.pt").n_tasks > 1
    for k, line in enumerate(lines, 1):
        assert re.fullmatch(rf"task {k}/{n}, {100 * k // n} %, \d+ s left", line)
    assert not BAR & set(told.err)
    # What two runs never share: the time of day, the run's id, its seconds.
    hidden = re.compile(r"\d{4}(_\d\d){5}|_[0-9a-f]{32}|\d+\.\d+(e-\d+)?$", re.MULTILINE)
    assert hidden.sub("", told.out) == hidden.sub("", quiet.out)


class Stopping(Progress):
    def tell(self, course, is_new):
        if course.finished == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("policy", ["full", "tasks", "metrics"])
def test_a_resumed_run_goes_on_counting(policy, task_files, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY_S", 0.0)
    settings = parse([*flags(task_files, tmp_path), "--eval_policy", policy])
    tasks, folder = load_tasks(task_files / "dense.pt"), RunDir(tmp_path / "work")
    with pytest.raises(KeyboardInterrupt):
        train.run(settings, tasks, checkpoint=folder, progress=Stopping(stream=io.StringIO()))
    out = io.StringIO()
    train.run(settings, tasks, checkpoint=folder, progress=Progress(stream=out, delay=0.0))
    found = [line.partition(",")[0] for line in out.getvalue().splitlines()]
    assert found == [f"task {k}/{tasks.n_tasks}" for k in range(3, tasks.n_tasks + 1)]
