"""The progress on stderr: lines in a pipe, and no bar on stdout, as verbose runs once had."""

import io
import re
from dataclasses import replace

import pytest

from clrepro.io.checkpoint import RunDir
from clrepro.progress import VARIABLE, Progress
from ta_agem_repro import train
from ta_agem_repro.cli import main
from ta_agem_repro.images import load_images
from ta_agem_repro.settings import Settings

pytest.importorskip("sklearn")
BAR = set("\r\x1b━╸╺#█")
FAST = ["--dataset", "digits", "--set", "num_epochs=2", "--set", "num_tasks=3", "--no_mlflow", "--seed", "3"]
SMALL = Settings(
    dataset_name="digits", num_tasks=3, num_epochs=3, hidden_dim=20, learning_rate=0.05, memory_size_q=4,
    seed=3,
)  # fmt: skip


def words(tmp_path, *more):
    return [*FAST, "--output_dir", str(tmp_path), *map(str, more)]


def test_a_pipe_gets_a_line_per_finished_task_and_no_bar(tmp_path, capfd, monkeypatch):
    outputs = []
    for number, delay in enumerate(("inf", "0")):
        monkeypatch.setenv(VARIABLE, delay)
        folder = tmp_path / str(number)  # in one folder, the later of two runs of a second gets another name
        folder.mkdir()
        assert main(words(folder, "--verbose")) == 0
        outputs.append(capfd.readouterr())
    quiet, told = outputs
    assert quiet.err == ""
    lines = [re.sub(r", \d+ s left$", "", line) for line in told.err.splitlines()]
    assert lines == ["task 1/3, 33 %", "task 2/3, 66 %", "task 3/3, 100 %"]
    assert not BAR & set(told.err + told.out + quiet.out)
    assert "Epoch 1/6" in told.out
    times = re.compile(r"[\d. ]+")
    assert times.sub("", told.out) == times.sub("", quiet.out)


def test_several_runs_count_together_and_side_by_side_each_says_its_seed(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv(VARIABLE, "0")
    assert main(words(tmp_path, "--runs", 2)) == 0
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(" %")[0] for line in lines[2:4]] == [
        "run 1/2, task 3/3, 50", "run 2/2, task 1/3, 66"
    ]  # fmt: skip
    assert main(words(tmp_path, "--runs", 2, "--jobs", 2)) == 0
    lines = capfd.readouterr().err.splitlines()
    assert {line.partition(",")[0] for line in lines} == {
        f"seed {seed}: task {k}/3" for seed in (3, 4) for k in (1, 2, 3)
    }


def test_tasks_whose_epochs_are_mixed_count_when_their_last_one_is_over():
    out, images = io.StringIO(), load_images("digits")
    train.run(replace(SMALL, task_introduction="random"), images, progress=Progress(stream=out, delay=0.0))
    found = [line.split(",")[:2] for line in out.getvalue().splitlines()]
    assert [task for task, _ in found] == ["task 1/3", "task 2/3", "task 3/3"]
    assert found[-1][1] == " 100 %"
    assert found[0][1] != " 33 %"  # with this seed other tasks have had epochs by then


class Stopping(Progress):
    def tell(self, course, is_new):
        if course.share > 0.6:
            raise KeyboardInterrupt


def test_a_resumed_run_goes_on_counting(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)
    out, images, folder = io.StringIO(), load_images("digits"), RunDir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train.run(SMALL, images, checkpoint=folder, progress=Stopping(stream=out))
    now = iter([0.0, *range(10, 10_000, 10)])
    train.run(
        SMALL, images, checkpoint=folder,
        progress=Progress(stream=out, delay=0.0, clock=lambda: float(next(now))),
    )  # fmt: skip
    # Five of nine epochs were there: the first after 10 s leaves 30.
    assert out.getvalue().splitlines() == ["task 2/3, 66 %, 30 s left", "task 3/3, 100 %, 0 s left"]
