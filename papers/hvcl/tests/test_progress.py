"""The progress on stderr of all three programs: lines in a pipe, whichever method, and after a resumption."""

import io
import re
from dataclasses import replace

import pytest

from clrepro.io.checkpoint import RunDir
from clrepro.progress import VARIABLE, Progress
from clrepro.seeding import Seeds
from hvcl_repro.baselines import cli as baselines
from hvcl_repro.rl import cli as rl
from hvcl_repro.supervised import cli as supervised

BAR = set("\r\x1b━╸╺#█")
SUPERVISED = ["--profile", "quick", "--epochs", "3", "--hidden", "4", "--out_dir"]
SAC = [
    *("--env_set", "toy", "--train_steps", "400", "--train_interval", "200", "--updates", "2"),
    *("--batch_s", "8", "--hidden_u", "4", "--eval_interval", "200", "--replay_start_size", "100"),
    *("--eval_episodes", "2", "--checkpoint_interval", "200", "--out_dir"),
]
PPO = [
    *("--experiment", "roboschool", "--approach", "fine-tuning", "--date", "0", "--env_set", "toy"),
    *("--num-steps", "20", "--num-processes", "2", "--num-env-steps", "80", "--ppo-epoch", "1"),
    *("--num-mini-batch", "2", "--eval-interval", "1", "--eval_episodes", "2", "--out_dir"),
]


def counted(n, noun="task"):
    return [f"{noun} {k}/{n}, {100 * k // n} %" for k in range(1, n + 1)]


@pytest.mark.parametrize(
    ("program", "words", "lines"),
    [
        (supervised, ["--method", "fine-tune", *SUPERVISED], counted(5)),
        (supervised, ["--method", "joint", *SUPERVISED], counted(3, "epoch")),
        (supervised, ["--method", "joint", "--steps", "45", *SUPERVISED], counted(3, "epoch")),  # of 23 each
        (rl, SAC, counted(3)),
        (baselines, PPO, counted(3)),
    ],
)
def test_a_pipe_gets_a_line_per_finished_task(program, words, lines, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv(VARIABLE, "0")
    assert program.main([*words, str(tmp_path)]) == 0
    told = capfd.readouterr()
    found = [line for line in told.err.splitlines() if re.match(r"(run|task|epoch) \d", line)]
    assert [re.sub(r", \d+ s left$", "", line) for line in found] == lines
    assert not BAR & set(told.err + told.out)
    assert "s left" not in told.out


class Stopping(Progress):
    """Stops a run in its second task."""

    def tell(self, course, is_new):
        if course.share * course.n_tasks > 1.4:
            raise KeyboardInterrupt


def made(kind, folder):
    """Returns a function that runs a program's loop with a progress."""
    if kind == "sac":
        from hvcl_repro.rl.train import Loop

        settings = rl.parse([*SAC, "."]).settings
        return lambda progress: Loop(settings, Seeds(1), folder, 0, 0).run(progress)
    if kind == "ppo":
        from hvcl_repro.baselines.train import Baseline

        settings = baselines.parse([*PPO, "."]).settings
        return lambda progress: Baseline(settings, Seeds(1), folder, 0).run(progress)
    from hvcl_repro.supervised.benchmarks import build
    from hvcl_repro.supervised.train import run

    settings = supervised.parse([*SUPERVISED, "."]).settings
    settings = replace(settings, method="fine-tune")
    seeds = Seeds(1)
    benchmark = build(settings, seeds.generator("tasks"), None)
    return lambda progress: run(settings, benchmark, seeds, checkpoint=folder, progress=progress)


@pytest.mark.parametrize(("kind", "n"), [("supervised", 5), ("sac", 3), ("ppo", 3)])
def test_a_resumed_run_goes_on_counting(kind, n, tmp_path):
    out, loop = io.StringIO(), made(kind, RunDir(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        loop(Stopping(stream=out))
    loop(Progress(stream=out, delay=0.0))
    found = [line.partition(",")[0] for line in out.getvalue().splitlines()]
    assert found == [f"task {k}/{n}" for k in range(2, n + 1)]
