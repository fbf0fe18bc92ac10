"""Stable SGD with many seeds together: each is what it is alone, and one that fails leaves the others."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clrepro.kernels.mlp import Layout
from clrepro.seeding import Seeds
from tag_repro.stable_sgd import cli as stable_cli
from tag_repro.stable_sgd import train as stable
from tag_repro.stable_sgd.settings import StableSession, StableSettings
from tag_repro.streams import build

pytest.importorskip("sklearn")
torch = pytest.importorskip("torch")
SMALL = StableSettings(tasks=3, epochs_per_task=2, hiddens=20, images="digits", batch_size=16, seed=1)
QUIET = StableSession(no_plots=True)


def alone(settings):
    seeds = Seeds(settings.seed)
    return stable.run(settings, build(settings, seeds.generator("tasks"), None, multi_head=False), seeds)


@pytest.mark.parametrize(("dataset", "dropout"), [("rot-mnist", 0.25), ("perm-mnist", 0.0)])
def test_together_each_seed_is_what_it_is_alone(dataset, dropout, tmp_path):
    from tag_repro.stable_sgd.many_seeds import run_all

    settings = replace(SMALL, dataset=dataset, dropout=dropout)
    runs = [replace(settings, seed=seed) for seed in (3, 5, 8)]
    results = run_all([replace(run, engine="batched") for run in runs], replace(QUIET, out=tmp_path))
    for run, ours in zip(runs, results, strict=True):
        theirs = alone(run)
        assert ours.settings.seed == run.seed
        np.testing.assert_allclose(ours.accuracy, theirs.accuracy, atol=0.006)
        np.testing.assert_allclose(ours.loss, theirs.loss, atol=2e-3)
        np.testing.assert_allclose(ours.displacement, theirs.displacement, atol=2e-3)
    assert results[0].accuracy.tobytes() != results[1].accuracy.tobytes()


def test_a_run_continues_where_it_was_stopped(tmp_path, monkeypatch):
    from tag_repro.stable_sgd.many_seeds import run_all
    from tag_repro.stable_sgd.outputs import Writer

    runs = [replace(SMALL, seed=seed, engine="batched") for seed in (3, 5)]
    straight = run_all(runs, replace(QUIET, out=tmp_path / "straight"))
    whole = Writer.evaluated

    def stop_in_task_two(self, result, task, learner):
        whole(self, result, task, learner)
        if task == 1 and result.settings.seed == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "evaluated", stop_in_task_two)
    with pytest.raises(KeyboardInterrupt):
        run_all(runs, replace(QUIET, out=tmp_path / "stopped"))
    monkeypatch.setattr(Writer, "evaluated", whole)
    resumed = run_all(runs, replace(QUIET, out=tmp_path / "stopped", resume=True))
    for one, other in zip(straight, resumed, strict=True):
        assert one.accuracy.tobytes() == other.accuracy.tobytes()
        assert one.displacement.tobytes() == other.displacement.tobytes()


def test_a_run_that_fails_leaves_the_others(tmp_path):
    from tag_repro.stable_sgd.many_seeds import run_all
    from tag_repro.stable_sgd.outputs import trial_id

    runs = [replace(SMALL, seed=3, engine="batched"), replace(SMALL, seed=5, lr=1e6, engine="batched")]
    with pytest.raises(FloatingPointError):
        run_all(runs, replace(QUIET, out=tmp_path))
    with open(tmp_path / trial_id(runs[0]) / "accs.csv") as file:
        rows = list(csv.reader(file))
    expected = 100 * alone(replace(SMALL, seed=3)).accuracy[-1]
    np.testing.assert_allclose([float(value) for value in rows[-1][1:]], expected, atol=0.6)


def test_a_step_is_the_compiled_engine_s(tmp_path):
    from clrepro.kernels.batch import BatchTrainer, aligned
    from clrepro.kernels.batched_mlp import ManyMLP

    layout, rng = Layout((12, 7, 7, 4)), np.random.default_rng(0)
    thetas = rng.normal(0, 0.3, (2, layout.n_params)).astype(np.float32)
    x, y = rng.random((2, 6, 12), np.float32), rng.integers(1, 3, (2, 6))
    many = ManyMLP(layout, thetas)
    rates = torch.tensor([0.1, 0.05])
    for _ in range(3):
        losses = many.step(torch.from_numpy(x), torch.from_numpy(y - 1), rates, 0.8, classes=(1, 3))
    for number in range(2):
        theta, velocity = aligned(layout.n_params), aligned(layout.n_params)
        theta[:] = thetas[number]
        indices = np.tile(np.arange(6), (3, 1))
        rate = float(rates[number])
        one = BatchTrainer(layout).sgd_steps(
            theta, velocity, x[number], y[number], indices, rate, 0.8, classes=(1, 3)
        )
        np.testing.assert_allclose(many.theta(number), theta, atol=2e-6)
        assert float(losses[number]) == pytest.approx(one[-1], abs=1e-5)


def test_a_rate_of_zero_leaves_a_network_as_it_is():
    from clrepro.kernels.batched_mlp import ManyMLP

    layout = Layout((3, 4, 4, 2))
    thetas = np.random.default_rng(0).normal(size=(2, layout.n_params)).astype(np.float32)
    many = ManyMLP(layout, thetas)
    many.step(torch.ones(2, 5, 3), torch.zeros(2, 5, dtype=torch.int64), torch.tensor([0.0, 0.1]), 0.8)
    assert many.theta(0).tobytes() == thetas[0].tobytes()
    assert many.theta(1).tobytes() != thetas[1].tobytes()


def test_the_command_line(tmp_path, capsys):
    words = (
        "--dataset rot-mnist --profile quick --tasks 2 --epochs-per-task 1 --hiddens 10 --no-plots".split()
    )
    out = ["--seeds", "1,4", "--out", str(tmp_path)]
    assert stable_cli.main([*words, "--engine", "batched", *out]) == 0
    printed = capsys.readouterr().out
    assert "[seed 1] average accuracy" in printed
    assert "[seed 4] average accuracy" in printed
    assert len(list(Path(tmp_path).glob("*/accs.csv"))) == 2
    assert stable_cli.main([*words, *out]) == 0  # the same seeds one after the other
    assert len(list(Path(tmp_path).glob("*/accs.csv"))) == 4
    assert stable_cli.main([*words, "--seeds", "1,1"]) == 2
    assert "has a seed twice" in capsys.readouterr().err
