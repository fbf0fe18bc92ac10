"""The TensorFlow programs' flags, settings, scripts and tables: all that works without TensorFlow."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clrepro.errors import DataError, UsageError
from clrepro.records import Outcome
from clrepro.seeding import Seeds
from clrepro.settings import fingerprint
from tag_repro import streams
from tag_repro.stable_sgd.settings import StableSettings
from tag_repro.synthetic_images import prototype_images
from tag_repro.tensorflow import outputs as files
from tag_repro.tensorflow import summary
from tag_repro.tensorflow.cli import parse
from tag_repro.tensorflow.settings import CONV, CONV_DEFAULTS, FC, FC_DEFAULTS
from tag_repro.tensorflow.streams import mean_image, split, task_stream

FOLDER = Path(__file__).resolve().parents[1] / "external_libs" / "continual_learning_algorithms"
SEEDS = {"mnist": ("1345", "1455", "1668"), "cifar": ("1234", "7295", "5234")}


def settings(program, *words):
    return parse(words, program=program).settings


def test_defaults_are_the_originals():
    expected = {
        FC: (
            "rot-mnist", "EWC", "FC-S", 10, 16, 1e-3, 0.4, "SGD", 10.0, 0.9, 10, 1, 64, 50000, 1235, 5000,
            True,
        ),
        CONV: (
            "split-cifar100", "EWC", "RESNET-S", 5, 64, 0.1, 1.0, "SGD", 10.0, 0.9, 50, 1, 256, 50000, 3235,
            2000, False,
        ),
    }  # fmt: skip
    names = (
        "dataset", "imp_method", "arch", "num_runs", "batch_size", "learning_rate", "decay", "optim",
        "synap_stgth", "fisher_ema_decay", "fisher_update_after", "mem_size", "eps_mem_batch",
        "examples_per_task", "random_seed", "train_iters", "train_single_epoch",
    )  # fmt: skip
    for program, values in expected.items():
        found = settings(program)
        assert tuple(getattr(found, name) for name in names) == values
        assert (found.tasks, found.cross_validate_mode, found.online_cross_val) == (20, False, False)
    assert not settings(FC, "--train-single-epoch").train_single_epoch
    assert settings(CONV, "--train-single-epoch").train_single_epoch


@pytest.mark.parametrize(
    ("program", "words", "reason"),
    [
        (FC, ["--imp-method", "PNN"], "--imp-method PNN: not part"),
        (FC, ["--imp-method", "magic"], "--imp-method magic: one of VAN"),
        (CONV, ["--arch", "VGG"], "--arch VGG: not part"), (FC, ["--arch", "RESNET-S"], "--arch RESNET-S"),
        (FC, ["--dataset", "cifar"], "--dataset cifar"), (FC, ["--optim", "LION"], "--optim LION"),
        (FC, ["--learning-rate", "0"], "--learning-rate"), (FC, ["--decay", "-1"], "--decay"),
        (FC, ["--dropout", "1"], "--dropout"), (FC, ["--decay-every", "-1"], "--decay-every"),
        (FC, ["--fisher-ema-decay", "0"], "--fisher-ema-decay"), (FC, ["--images", "cats"], "--images cats"),
        (CONV, ["--tasks", "23"], "--tasks 23"), (FC, ["--mem-size", "0"], "--mem-size"),
        (FC, ["--synap-stgth", "-1"], "--synap-stgth"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(program, words, reason):
    with pytest.raises(UsageError, match=reason):
        settings(program, *words)


def test_rates_by_hand():
    found = replace(FC_DEFAULTS, learning_rate=0.1, decay=0.65)
    assert [found.rate(task, 10**6) for task in range(3)] == pytest.approx([0.1, 0.065, 0.04225])
    published = replace(found, decay_every=3100)
    rates = [published.rate(0, step) for step in (0, 3099, 3100, 6200)]
    assert rates == pytest.approx([0.1, 0.1, 0.065, 0.04225])


def test_quick_is_told_apart():
    quick = settings(FC, "--profile", "quick")
    assert (quick.profile, quick.images, quick.tasks) == ("quick", "digits", 10)
    assert settings(CONV, "--profile", "quick", "--tasks", "20").tasks == 20
    assert settings(FC).profile == "full"


def test_the_tasks_are_those_of_the_pytorch_program():
    pytest.importorskip("sklearn")
    for dataset in ("rot-mnist", "perm-mnist"):
        step = 9.0 if dataset == "rot-mnist" else 0.0
        own = replace(FC_DEFAULTS, dataset=dataset, images="digits", random_seed=5, rotation_step=step)
        ours = task_stream(own, Seeds(5).generator("tasks"), None)
        stable = StableSettings(dataset=dataset, tasks=20, images="digits", seed=5, rotation_step=step)
        theirs = streams.build(stable, Seeds(5).generator("tasks"), None, multi_head=False)
        assert len(ours.stream) == len(theirs.stream) == 20
        for number in (0, 7, 19):
            assert (ours.stream[number].x_train == theirs.stream[number].x_train).all()
        assert ours.n_outputs == 10


def test_a_hundred_classes_are_twenty_tasks_of_five():
    labels = np.repeat(np.arange(100), 3)
    x = np.repeat(labels[:, None], 3072, axis=1).astype(np.uint8)
    found = split(CONV_DEFAULTS, (x, labels, x, labels), {}, np.random.default_rng(0))
    assert len(found.stream) == 20
    assert found.n_outputs == 100
    classes = [task.classes for task in found.stream]
    assert [len(some) for some in classes] == [5] * 20
    assert sorted(sum(classes, ())) == list(range(100))
    for number, task in enumerate(found.stream):
        numbered = found.numbered(number, task.y_train)
        assert (numbered == task.x_train[:, 0]).all()  # natural order: outputs are the classes
    assert mean_image(found) == pytest.approx(np.full(3072, 49.5 / 255))
    shuffled = replace(CONV_DEFAULTS, class_order="shuffled")
    other = split(shuffled, (x, labels, x, labels), {}, np.random.default_rng(0))
    assert sorted(sum((task.classes for task in other.stream), ())) == list(range(100))
    assert other.stream[0].classes != classes[0]
    for number, task in enumerate(other.stream):
        numbered = other.numbered(number, task.y_train)
        assert (np.array(task.classes)[numbered - 5 * number] == task.x_train[:, 0]).all()


def test_prototypes_are_one_fixed_set():
    (x, y, x_test, y_test), checksums = prototype_images(3)
    assert (x.shape, x_test.shape, x.dtype) == ((750, 3072), (150, 3072), np.uint8)
    assert np.bincount(y).tolist() == [250] * 3
    assert np.bincount(y_test).tolist() == [50] * 3
    (more, *_), other = prototype_images(4)
    assert (more[:750] == x).all()
    assert checksums != other
    means = x.reshape(3, 250, -1).mean(axis=1)
    nearest = ((x_test[:, None].astype(float) - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == y_test).mean() > 0.99  # classes differ by more than the noise
    assert len(np.unique(x, axis=0)) == 750


def record(seed, accuracy, **changes):
    own = replace(FC_DEFAULTS, random_seed=seed, num_runs=1, tasks=2, **changes)
    matrix = [[accuracy, np.nan], [accuracy - 0.1, accuracy]]
    metrics = {"A": accuracy - 0.05, "F": 0.1, "F_signed": 0.1, "LA": accuracy, "BWT": -0.1}
    outcome = Outcome(
        metrics=metrics, series={"R": matrix, "snapshots": [], "classes": [[0], [1]]},
        settings={**fingerprint(own), "random_seed": seed},
        cost={"train_s": 2.0, "eval_s": 1.0, "steps": 100, "cpu_s": 4.0},
    )  # fmt: skip
    return files.run_record(own, 1, outcome, [])


def test_a_summary_by_hand(tmp_path):
    seeds = [record(1, 0.8), record(2, 0.9)]
    rows = summary.summarise([*seeds, record(1, 0.5, decay=1.0), record(1, 0.5, images="digits")])
    assert [(row["profile"], row["variant"], row["n"]) for row in rows] == [
        ("full", "plain", 1), ("full", "stable", 2), ("quick", "stable", 1)
    ]  # fmt: skip
    both = rows[1]
    assert both["acc_mean"] == pytest.approx(80.0)
    assert (both["acc_std"], both["acc_std1"]) == (pytest.approx(5.0), pytest.approx(50**0.5))
    assert (both["step_ms"], both["wall_s"], both["seeds"]) == (20, 3, "1 2")
    assert "| 80.00 ± 5.00 | 0.100 ± 0.000 | 85.00 ± 5.00 | 4 |" in summary.markdown(rows)


def test_the_originals_pickle_is_written_and_read(tmp_path):
    raw = files.raw_accuracies([record(1, 0.8), record(2, 0.9)])
    assert raw.shape == (2, 2, 1, 2)
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps({"mean": raw}, protocol=4))
    shape, last = summary.last_row(path).splitlines()
    assert shape == "(2, 2, 1, 2)"
    assert json.loads(last) == pytest.approx([0.7, 0.8])
    path.write_bytes(pickle.dumps({"mean": print}))
    with pytest.raises(DataError):
        summary.last_row(path)


@pytest.mark.parametrize("shape", [(0, 2, 1, 2), (2, 0, 1, 2), (2, 2, 1, 0), (0, 0, 0), (1, 1, 0)])
def test_an_empty_table_of_accuracies_is_one_line(tmp_path, shape):
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps({"mean": np.zeros(shape)}, protocol=4))
    with pytest.raises(DataError, match="expected"):
        summary.last_row(path)


def dry(script, *words, cwd):
    done = subprocess.run(
        ["bash", str(FOLDER / script), *words, "--dry-run", "--profile", "quick"],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [line.split() for line in done.stdout.splitlines()]


def value(line, name):
    return line[line.index(name) + 1]


@pytest.mark.parametrize(
    ("script", "words", "program", "methods", "seeds", "fixed"),
    [
        ("replicate_mnist.sh", ["rot-mnist"], FC, ("ER", "A-GEM", "EWC"), SEEDS["mnist"],
         {"--dataset": "rot-mnist", "--decay": "1.0", "--batch-size": "32", "--learning-rate": "0.1"}),
        ("replicate_mnist.sh", ["perm-mnist"], FC, ("ER", "A-GEM", "EWC"), SEEDS["mnist"],
         {"--dataset": "perm-mnist", "--eps-mem-batch": "10", "--synap-stgth": "10"}),
        ("replicate_mnist_stable.sh", [], FC, ("ER", "A-GEM", "EWC"), SEEDS["mnist"],
         {"--dataset": "rot-mnist", "--decay": "0.65", "--dropout": "0.25"}),
        ("replicate_cifar.sh", [], CONV, ("A-GEM", "EWC", "ER"), SEEDS["cifar"],
         {"--batch-size": "10", "--learning-rate": "0.03", "--arch": "RESNET-S"}),
    ],
)  # fmt: skip
def test_scripts_list_every_method_and_seed(script, words, program, methods, seeds, fixed, tmp_path):
    lines = dry(script, *words, cwd=tmp_path)
    found = [(value(line, "--imp-method"), value(line, "--random-seed")) for line in lines]
    assert found == [(method, seed) for method in methods for seed in seeds]
    for line in lines:
        assert line[1] == program
        assert line[-2:] == ["--profile", "quick"]
        assert "--resume" in line
        assert {name: value(line, name) for name in fixed} == fixed
        assert settings(program, *line[2:]).num_runs == 1  # every word is understood
    if program == CONV:
        assert [value(line, "--synap-stgth") for line in lines] == ["0.0"] * 3 + ["10.0"] * 3 + ["0.0"] * 3
    assert not list(tmp_path.iterdir())


def test_run_sh_does_all_of_them(tmp_path):
    assert len(dry("run.sh", cwd=tmp_path)) == 36


def test_a_failing_program_stops_a_script(tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho called >> $LOG_DIR/calls\nexit 7\n")
    broken.chmod(0o755)
    env = {**os.environ, "PYTHON": str(broken), "LOG_DIR": str(tmp_path)}
    done = subprocess.run(["bash", FOLDER / "run.sh"], env=env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 7
    assert (tmp_path / "calls").read_text() == "called\n"


def test_without_tensorflow_the_exit_code_is_three(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'tensorflow' else find(name, *rest)\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    for program in (FC, CONV):
        done = subprocess.run(
            [sys.executable, program, "--profile", "quick", "--log-dir", str(tmp_path / "log")],
            cwd=FOLDER, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert "tag-tf" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "log").exists()
