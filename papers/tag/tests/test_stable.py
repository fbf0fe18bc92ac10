"""Stable SGD: the regimen, both engines, files, resuming, and the command line from the paper's folder."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.learner import Learner
from clrepro.seeding import Seeds
from tag_repro.learning_rate import rate_of_task
from tag_repro.stable_sgd import learners
from tag_repro.stable_sgd import train as stable
from tag_repro.stable_sgd.settings import StableSettings
from tag_repro.streams import angles, build
from tag_repro.task_stream import enlarged

pytest.importorskip("sklearn")
PAPER = Path(__file__).resolve().parents[1]
SMALL = StableSettings(tasks=3, epochs_per_task=2, hiddens=20, images="digits", batch_size=16, seed=1)


def run(settings, **options):
    seeds = Seeds(settings.seed)
    task_stream = build(settings, seeds.generator("tasks"), None, multi_head=False)
    return stable.run(settings, task_stream, seeds, **options)


def numbers(result):
    return result.accuracy.tobytes(), result.loss.tobytes(), result.displacement.tobytes()


def test_rates_by_hand():
    rates = [rate_of_task(task, lr=0.1, gamma=0.4) for task in range(10)]
    assert rates[:5] == pytest.approx([0.04, 0.016, 0.0064, 0.00256, 0.001024])
    assert rates[7] > 5e-5
    assert rates[8] == 5e-5
    assert rate_of_task(0, lr=0.1, gamma=0.4, decay_start=0) == 0.1
    assert rate_of_task(8, lr=0.1, gamma=0.4, lr_floor=0.03) == 0.03


@pytest.mark.parametrize("dataset", ["rot-mnist", "perm-mnist"])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_the_compiled_engine_and_torch_tell_the_same(dataset, dropout):
    settings = replace(SMALL, dataset=dataset, dropout=dropout)
    ours, torchs = (run(replace(settings, engine=engine)) for engine in ("fused", "reference"))
    np.testing.assert_allclose(ours.accuracy, torchs.accuracy, atol=0.006)
    np.testing.assert_allclose(ours.loss, torchs.loss, atol=2e-3)
    np.testing.assert_allclose(ours.displacement, torchs.displacement, atol=2e-3)


def test_the_same_seed_twice_and_another():
    assert numbers(run(SMALL)) == numbers(run(SMALL))
    assert numbers(run(SMALL)) != numbers(run(replace(SMALL, seed=2)))


def test_gamma_one_without_dropout_is_plain_momentum_sgd():
    """The stable path with its two means off is the plastic one, bit for bit."""
    one = run(replace(SMALL, gamma=1.0, dropout=0.0))
    two = run(replace(SMALL, gamma=1.0, dropout=0.0, decay_start=0))
    assert numbers(one) == numbers(two)


class Stop(Exception):
    pass


class StopAfter:
    """Ends the run amid what comes after a task, as a kill may; `told`: the tasks that got through."""

    def __init__(self, tasks, told=None):
        self.left, self.told = tasks, [] if told is None else told

    def started(self, settings):
        pass

    def task(self, number, rate):
        pass

    def evaluated(self, result, task, learner):
        self.left -= 1
        if not self.left:
            raise Stop
        self.told.append(task)


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_stopped_and_resumed_equals_undisturbed(engine, tmp_path):
    settings, told = replace(SMALL, engine=engine, tasks=3), []
    for _ in range(2):
        with pytest.raises(Stop):
            run(settings, checkpoint=RunDir(tmp_path), listener=StopAfter(2, told))
    again = run(settings, checkpoint=RunDir(tmp_path), listener=StopAfter(9, told))
    assert numbers(again) == numbers(run(settings))
    assert told == [0, 1, 2], "the files of a task would be missing, or written without need"


def test_flatness_is_measured():
    result = run(replace(SMALL, compute_eigenspectrum=True, tasks=2))
    assert result.eigenvalues.shape == (2, 3)
    assert (np.diff(np.abs(result.eigenvalues), axis=1) <= 0).all()
    assert result.eigenvalues[0, 0] > 0
    assert result.vectors[1].shape == (3, 784 * 20 + 20 + 20 * 20 + 20 + 20 * 10 + 10)
    assert result.displacement[0] == 0 < result.displacement[1]


def test_a_rate_that_is_too_large_ends_with_a_reason():
    with pytest.raises(FloatingPointError, match="lower --lr"):
        run(replace(SMALL, lr=1e20))


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_a_network_that_the_last_step_has_broken_is_no_result(engine, monkeypatch):
    made = []

    def broken(*args):
        made.append(learners.make_learner(*args))
        state = made[0].state()
        for value in state["network"].values() if "network" in state else [state["theta"]]:
            value[...] = np.nan
        monkeypatch.setattr(made[0], "observe", lambda *_: made[0].load(state) or np.array([2.3]))
        return made[0]

    monkeypatch.setattr("tag_repro.stable_sgd.train.make_learner", broken)
    with pytest.raises(FloatingPointError, match=r"has diverged: its losses on task 1 reach nan; lower --lr"):
        run(replace(SMALL, engine=engine))


def test_tasks_begin_upright_or_unpermuted():
    seeds = Seeds(0)
    for tasks, step in ((20, 10.0), (9, 30.0), (20, 9.0)):
        turned = angles(tasks, 0, step)
        assert all(step * (t - 1) < angle <= step * t for t, angle in enumerate(turned))
        np.testing.assert_allclose(turned[:2], [-0.5488135 * step, 0.28481063 * step])  # numpy's for seed 0
    task_stream = build(
        replace(SMALL, dataset="perm-mnist"), seeds.generator("tasks"), None, multi_head=False
    )
    first, second = task_stream.stream[0], task_stream.stream[1]
    assert (np.sort(first.x_train, axis=1) == np.sort(second.x_train, axis=1)).all()
    assert (first.x_train != second.x_train).any()
    assert len(first.y_train) == 1400
    assert task_stream.outputs(2) == (0, 10)


def test_outputs_of_several_heads_follow_each_other():
    task_stream = build(SMALL, np.random.default_rng(0), None, multi_head=True)
    assert [task_stream.outputs(task) for task in range(3)] == [(0, 10), (10, 20), (20, 30)]
    assert task_stream.n_outputs == 30


def test_digits_fill_the_frame():
    digit = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    big = enlarged(digit)
    assert big.shape == (1, 28, 28)
    assert (big[0, 2:26:3, 2:26:3] == digit[0]).all()
    assert not big[0, :2].any()
    assert not big[0, :, 26:].any()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lr": 0.0}, "--lr"), ({"gamma": -1.0}, "--gamma"), ({"dropout": 1.0}, "--dropout"),
        ({"tasks": 0}, "--tasks"), ({"dataset": "svhn"}, "--dataset"),
        ({"dataset": "cifar100", "tasks": 7}, "--tasks 7"),
        ({"dataset": "cifar100", "tasks": 20, "engine": "fused", "images": "cifar100"}, "--engine"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(changes, reason):
    with pytest.raises(UsageError, match=reason):
        replace(SMALL, **changes)


def command(*words, cwd=PAPER, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "stable_sgd.main", *map(str, words)], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "CL_REPRO_PROGRESS_S": "inf", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def test_a_run_from_the_papers_folder_prints_and_writes_what_the_original_does(tmp_path):
    words = ("--profile", "quick", "--tasks", 2, "--hiddens", 20, "--epochs-per-task", 2, "--out", tmp_path)
    stdout, _ = command(*words, "--compute-eigenspectrum", "True")
    lines = stdout.splitlines()
    assert "Loading 2 tasks for rot-mnist" in lines
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert lines[-2].startswith("average accuracy = ")
    (folder,) = tmp_path.iterdir()
    assert len(folder.name) == 6
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "args.json", "accs.csv", "loss.csv", "accs.png", "loss.png", "hessian_eigs.csv",
        "task-1-epoch-1-vec.npy", "task-2-epoch-3-vec.npy",
        f"model-{folder.name}-1.pth", f"model-{folder.name}-3.pth",
    }  # fmt: skip
    rows = list(csv.reader((folder / "accs.csv").read_text().splitlines()))
    assert [len(row) for row in rows] == [3] * 5
    assert rows[1] == ["0", "0", "0"]
    final = [float(value) for value in rows[4][1:]]
    assert float(lines[-2].split()[3].rstrip(",")) == pytest.approx(np.mean(final))
    assert json.loads((folder / "args.json").read_text())["compute_eigenspectrum"] is True
    eigenvalues = list(csv.reader((folder / "hessian_eigs.csv").read_text().splitlines()))
    assert eigenvalues[0] == ["", "task-1-epoch-1", "task-2-epoch-3"]
    assert len(eigenvalues) == 4
    again, _ = command(*words, "--compute-eigenspectrum", "True", "--resume")
    assert again.splitlines()[-2] == lines[-2]  # everything was there already


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--dataset", "svhn"], 2, "--dataset svhn: one of rot-mnist, perm-mnist, cifar100\n"),
        (["--dataset", "cub"], 2, "--dataset cub: one of"),
        (["--tasks", "0"], 2, "--tasks"),
        (["--compute-eigenspectrum", "maybe"], 2, "maybe"),
        (["--no-such"], 2, "unrecognized"),
        (["--data-dir", "/nowhere"], 2, "/nowhere"),
    ],
)
def test_mistakes_are_one_line(words, code, part):
    _, stderr = command(*words, code=code)
    assert part in stderr
    assert len(stderr.splitlines()) == 1


def test_a_loss_that_is_no_number_is_one_line(tmp_path):
    _, stderr = command("--profile", "quick", "--lr", 1e20, "--hiddens", 20, "--out", tmp_path, code=1)
    assert "lower --lr" in stderr
    assert len(stderr.splitlines()) == 1


def test_missing_data_is_one_line(tmp_path):
    _, stderr = command("--data-dir", tmp_path, "--out", tmp_path, code=1)
    assert "mnist" in stderr
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", ["fused", "reference"])
def test_both_engines_are_learners_that_take_plain_arguments(kind):
    from tag_repro.stable_sgd.fused_learner import FusedLearner
    from tag_repro.stable_sgd.torch_learner import TorchLearner

    task_stream = build(SMALL, Seeds(0).generator("tasks"), None, multi_head=True)
    x, y = task_stream.training(1)
    made = [
        {"fused": FusedLearner, "reference": TorchLearner}[kind](
            task_stream, Seeds(0), rate=lambda task: 0.2 / task, hiddens=8
        )
        for _ in range(2)
    ]
    for one in made:
        assert isinstance(one, Learner)
        one.begin_task(1)
        assert one.rate == 0.2
        one.begin_epoch()
    alone = [float(made[0].observe(x[start : start + 5], y[start : start + 5], 1)[0]) for start in (0, 5)]
    together = made[1].observe(x[:10].reshape(2, 5, -1), y[:10].reshape(2, 5), 1)
    assert alone == together.tolist()
    assert made[0].vector().tobytes() == made[1].vector().tobytes()
    assert made[0].predict(x[:3], 1).shape == (3, 10)
