"""The progress on stderr of the torch programs: lines in a pipe, for every engine and kind of run."""

import io
import re
from dataclasses import replace

import pytest

from clrepro.io.checkpoint import RunDir
from clrepro.progress import VARIABLE, Progress
from clrepro.seeding import Seeds
from tag_repro.stable_sgd import cli as stable_cli
from tag_repro.tag import cli as tag_cli

pytest.importorskip("sklearn")
pytest.importorskip("torch")
BAR = set("\r\x1b━╸╺#█")
FAST = ["--profile", "quick", "--tasks", "2", "--hiddens", "8", "--batch-size", "200", "--no-plots"]
LEFT = r", \d+ s left"


@pytest.fixture
def told(capfd, monkeypatch, tmp_path):
    """Run a program without and with progress; returns the lines of its stderr."""

    def run(program, *words):
        outputs = []
        for delay in ("inf", "0"):
            monkeypatch.setenv(VARIABLE, delay)
            assert program.main([*FAST, *map(str, words), "--out", str(tmp_path / delay)]) == 0
            outputs.append(capfd.readouterr())
        quiet, loud = outputs
        assert quiet.err == ""
        assert not BAR & set(loud.err)
        assert out_of(loud.out) == out_of(quiet.out)
        return [re.sub(LEFT, "", line) for line in loud.err.splitlines()]

    return run


def out_of(text):
    """What was printed, without places and seconds."""
    return re.sub(r"/(inf|0)/|\d+\.\d+ s\b|\d+(\.\d+)? seconds", "", text)


def test_main_counts_runs_and_tasks(told):
    assert told(tag_cli, "--runs", 2, "--epochs-per-task", 2) == [
        "run 1/2, task 1/2, 25 %",
        "run 1/2, task 2/2, 50 %",
        "run 2/2, task 1/2, 75 %",
        "run 2/2, task 2/2, 100 %",
    ]


@pytest.mark.parametrize(
    ("multi", "lines"), [(1, [f"visit {k}/12" for k in range(1, 13)]), (2, ["epoch 1/1"])]
)
def test_joint_training_counts_what_it_goes_through(multi, lines, told):
    found = told(tag_cli, "--runs", 1, "--multi", multi)
    assert [line.partition(",")[0] for line in found] == lines


def test_a_long_task_that_may_end_early_counts_once(told):
    assert told(tag_cli, "--runs", 1, "--epochs-per-task", 21) == ["task 1/2, 50 %", "task 2/2, 100 %"]


def test_a_grid_counts_every_cell_and_goes_on_after_those_done_before(told, tmp_path, capfd):
    words = ("--hyp-gs", "lr", "--runs", 1)
    found = told(tag_cli, *words)
    assert found[0] == "run 1/4, task 1/2, 12 %"
    assert found[-1] == "run 4/4, task 2/2, 100 %"
    (grid,) = (tmp_path / "0").glob("*/grid.csv")
    grid.write_text("".join(grid.read_text().splitlines(keepends=True)[:3]))  # two cells
    assert tag_cli.main([*FAST, *map(str, words), "--out", str(tmp_path / "0"), "--resume"]) == 0
    assert capfd.readouterr().err.startswith("run 3/4, task 1/2, 62 %")


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_stable_sgd_counts_seeds_and_tasks(engine, told):
    assert told(stable_cli, "--seeds", "1,4", "--engine", engine) == [
        "run 1/2, task 1/2, 25 %",
        "run 1/2, task 2/2, 50 %",
        "run 2/2, task 1/2, 75 %",
        "run 2/2, task 2/2, 100 %",
    ]


def test_seeds_that_learn_together_have_one_estimate(capfd, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "0")
    words = [*FAST, "--seeds", "1,4", "--engine", "batched", "--out", str(tmp_path)]
    assert stable_cli.main(words) == 0
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 4
    assert {line.partition(" %")[0].rpartition(",")[0] for line in lines} == {
        f"run {run}/2, task {task}/2" for run in (1, 2) for task in (1, 2)
    }
    assert ", 100 %, 0 s left" in lines[-1]


class Stopping(Progress):
    def tell(self, course, is_new):
        if course.finished == 1:
            raise KeyboardInterrupt


def test_resumed_runs_go_on_counting(tmp_path):
    from tag_repro.stable_sgd import train as stable
    from tag_repro.streams import build
    from tag_repro.tag import train as driver

    out = io.StringIO()
    for cli, kind, multi_head in ((tag_cli, "tag", True), (stable_cli, "stable", False)):
        settings, folder = replace(cli.parse(FAST).settings, tasks=3), RunDir(tmp_path / kind)
        for progress in (Stopping(stream=out), Progress(stream=out, delay=0.0, title=f"{kind}: ")):
            seeds = Seeds(1)
            task_stream = build(settings, seeds.generator("tasks"), None, multi_head=multi_head)
            try:
                if multi_head:
                    driver.Run(settings, task_stream, seeds, folder).train(progress=progress)
                else:
                    stable.run(settings, task_stream, seeds, checkpoint=folder, progress=progress)
            except KeyboardInterrupt:
                assert isinstance(progress, Stopping)
    assert [line.partition(",")[0] for line in out.getvalue().splitlines()] == [
        f"{kind}: task {k}/3" for kind in ("tag", "stable") for k in (2, 3)
    ]
