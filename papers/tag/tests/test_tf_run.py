"""Whole TensorFlow runs: the loop, its schedule, resuming, and the programs from their folder."""

# ruff: noqa: E402  (what needs TensorFlow is imported after the look whether it is there)

import csv
import importlib.util
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)
pytest.importorskip("sklearn")

from clrepro.adapters import tf as adapter
from clrepro.io import safe_pickle

adapter.configure()

from clrepro.io.checkpoint import RunDir
from clrepro.records import read_record
from clrepro.seeding import Seeds
from tag_repro.cli import run_program
from tag_repro.tensorflow.settings import CONV_DEFAULTS, FC_DEFAULTS
from tag_repro.tensorflow.streams import task_stream
from tag_repro.tensorflow.train import Run

FOLDER = Path(__file__).resolve().parents[1] / "external_libs" / "continual_learning_algorithms"
SMALL = replace(
    FC_DEFAULTS, images="digits", tasks=3, num_runs=1, examples_per_task=96, batch_size=32, learning_rate=0.1,
    eps_mem_batch=10, fisher_update_after=2, random_seed=1,
)  # fmt: skip
CONV = replace(
    CONV_DEFAULTS, images="prototypes", tasks=10, num_runs=1, examples_per_task=16, batch_size=8,
    train_single_epoch=True, online_cross_val=True, random_seed=1,
)  # fmt: skip


def start(settings, checkpoint=None):
    seeds = Seeds(settings.random_seed)
    found = task_stream(settings, seeds.generator("tasks"), None)
    return Run(settings, found, seeds, checkpoint)


def numbers(run):
    return run.result.accuracy.tobytes(), *(a.tobytes() for a in adapter.values(run.method.variables()))


def trained(settings, **options):
    run = start(settings, **options)
    run.train()
    return run


class Stop(Exception):
    pass


class StopAfter:
    def __init__(self, number):
        self.number = number

    def task(self, result, number):
        if number == self.number:
            raise Stop


@pytest.mark.parametrize("name", ["VAN", "EWC", "A-GEM", "ER"])
def test_stopped_and_resumed_equals_undisturbed(name, tmp_path):
    settings = replace(SMALL, imp_method=name, optim="ADAM" if name == "VAN" else "SGD", learning_rate=0.01)
    for number in range(2):
        with pytest.raises(Stop):
            start(settings, RunDir(tmp_path)).train(StopAfter(number))
    resumed, straight = trained(settings, checkpoint=RunDir(tmp_path)), trained(settings)
    assert numbers(resumed) == numbers(straight)
    assert numbers(trained(replace(settings, random_seed=2))) != numbers(straight)


def test_the_resnet_resumes_too(tmp_path):
    settings = replace(CONV, imp_method="VAN")
    with pytest.raises(Stop):
        start(settings, RunDir(tmp_path)).train(StopAfter(1))
    resumed, straight = trained(settings, checkpoint=RunDir(tmp_path)), trained(settings)
    assert numbers(resumed) == numbers(straight)
    assert resumed.steps == 6
    assert np.isfinite(np.tril(straight.result.accuracy)).all()
    assert straight.network.head[0].shape == (160, 20)


def test_every_task_is_tested_when_it_ends_and_the_units_are_all_there():
    run = trained(SMALL)
    assert (np.isfinite(run.result.accuracy) == np.tri(3, dtype=bool)).all()
    before = adapter.generator_state(run.generator)
    assert (run._accuracies(2) == run.result.accuracy[2]).all()
    assert (adapter.generator_state(run.generator) == before).all()  # nothing was drawn
    assert {key: f.experimental_get_tracing_count() for key, f in run.method.compiled.items()} == {
        "plain": 0, "predict": 1, "consolidated": 1, "update": 1
    }  # fmt: skip


def test_the_original_dropped_units_at_test_time():
    run = trained(replace(SMALL, compat="original"))
    before = adapter.generator_state(run.generator)
    first, again = run._accuracies(2), run._accuracies(2)
    assert (adapter.generator_state(run.generator) != before).any()
    assert (first != again).any()


def test_the_decay_acts_from_task_to_task():
    run = start(replace(SMALL, decay=0.5, imp_method="VAN"))
    seen = []
    apply = run.method.optimizer.set_rate
    run.method.optimizer.set_rate = lambda rate: (seen.append(rate), apply(rate))
    run.train()
    assert seen == pytest.approx([0.1, 0.05, 0.025])  # three steps in one call for each task
    assert float(run.method.optimizer.rate) == pytest.approx(0.025)


def test_steps_and_snapshots():
    run = trained(replace(SMALL, train_single_epoch=False, train_iters=5, eval_every=2, tasks=2))
    assert run.steps == 10
    rows = np.array(run.result.snapshots)
    assert rows[:, :2].tolist() == [[0, 2], [0, 4], [1, 2], [1, 4]]
    assert np.isnan(rows[:2, 3]).all()
    assert np.isfinite(rows[2:, 2:]).all()


def test_cross_validation_tests_the_last_of_three_tasks_alone():
    run = trained(replace(SMALL, tasks=20, online_cross_val=True, cross_validate_mode=True))
    assert run.result.accuracy.shape == (3, 3)
    assert np.isnan(run.result.accuracy[:2]).all()
    assert run.result.metrics() == {"A": run.result.accuracy[2].mean()}


def test_twenty_tasks_are_the_default():
    stream = start(replace(SMALL, tasks=FC_DEFAULTS.tasks)).task_stream.stream
    assert len(stream) == 20
    conv = start(replace(CONV, tasks=20)).task_stream
    assert (len(conv.stream), conv.classes_per_task, conv.n_outputs) == (20, 5, 100)
    assert [conv.stream[number].x_train.shape for number in (0, 19)] == [(1250, 3072)] * 2
    assert [len(conv.stream[number].y_test) for number in (0, 19)] == [250] * 2


def test_a_rate_that_is_too_large_ends_with_a_reason():
    with pytest.raises(FloatingPointError, match="lower --learning-rate"):
        trained(replace(SMALL, learning_rate=1e20))


def test_weights_that_the_last_step_has_broken_are_found(monkeypatch):
    run = start(SMALL)
    weight = run.network.weights[0]
    monkeypatch.setattr(run.method, "end_task", lambda _: weight.assign(weight * np.nan))
    with pytest.raises(FloatingPointError, match=r"weights are no numbers after task 1; lower --learning"):
        run.train()


def test_a_command_of_a_profile(tmp_path):
    words = (
        "external_libs/continual_learning_algorithms/fc_mnist.py --profile quick --tasks 2 --imp-method ER "
        "--examples-per-task 64 --random-seed 3"
    )
    outcome = run_program(words.split(), work_dir=tmp_path)
    assert set(outcome.metrics) == {"A", "F", "F_signed", "LA", "BWT"}
    assert outcome.settings["random_seed"] == 3
    assert np.shape(outcome.series["R"]) == (2, 2)


def command(*words, code=0, path=(), progress_s=math.inf):
    places = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=FOLDER, capture_output=True, text=True, timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(places),
             "CL_REPRO_PROGRESS_S": str(progress_s)}, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_fc_mnist_from_its_folder_prints_and_writes_what_is_expected(tmp_path):
    words = (
        "fc_mnist.py", "--profile", "quick", "--tasks", 2, "--num-runs", 2, "--imp-method", "A-GEM",
        "--examples-per-task", 64, "--learning-rate", 0.1, "--log-dir", tmp_path,
    )  # fmt: skip
    lines, stderr = command(*words, progress_s=0)
    told = [line for line in stderr if line.startswith("run ")]
    assert [line.partition(" %")[0] for line in told] == [
        "run 1/2, task 1/2, 25", "run 1/2, task 2/2, 50", "run 2/2, task 1/2, 75", "run 2/2, task 2/2, 100"
    ]  # fmt: skip
    assert not set("\r\x1b━╸╺#█") & set("".join(told + lines))
    assert "quick" in lines[0]
    assert sum(line.startswith("TASK ") for line in lines) == 4
    assert lines[-1].startswith("Final Average accuracy = ")
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        f"{folder.name}.txt", f"{folder.name}.pickle"
    }  # fmt: skip
    assert {path.name for path in folder.iterdir() if path.is_file() and path.name != ".lock"} == {
        "args.json", "results.csv", "matrix_1.csv", "matrix_2.csv", "record_1.json", "record_2.json"
    }  # fmt: skip
    records = [read_record(folder / f"record_{run}.json") for run in (1, 2)]
    assert [record.seed for record in records] == [1235, 1236]
    rows = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["A-GEM"] * 2
    assert float(rows[0]["A"]) == pytest.approx(records[0].metrics["A"])
    matrix = (folder / "matrix_1.csv").read_text().splitlines()
    assert matrix[0].endswith(",")  # the second task was not there yet
    assert np.mean([float(v) for v in matrix[1].split(",")]) == pytest.approx(100 * records[0].metrics["A"])
    written = [(path, path.stat().st_mtime_ns) for path in folder.glob("record_*.json")]
    again, _ = command(*words, "--resume")  # everything is there already
    assert again[-1] == lines[-1]
    assert not any(line.startswith("TASK") for line in again)
    assert written == [(path, path.stat().st_mtime_ns) for path, _ in written]
    table, _ = command("extract_res.py", tmp_path)
    assert "*quick*" in table[0]
    assert (tmp_path / "summary-quick.csv").is_file()
    last, _ = command("extract_res.py", tmp_path / f"{folder.name}.pickle")
    assert last[0] == "(2, 2, 1, 2)"
    assert np.mean(json.loads(last[1])) == pytest.approx(records[0].metrics["A"], abs=1e-6)


def test_conv_split_cifar_from_its_folder_without_torch(tmp_path):
    (tmp_path / "absent" / "torch").mkdir(parents=True)
    (tmp_path / "absent" / "torch" / "__init__.py").write_text("raise ModuleNotFoundError('torch')\n")
    logs = tmp_path / "logs"
    lines, _ = command(
        "conv_split_cifar.py", "--profile", "quick", "--num-runs", 1, "--imp-method", "A-GEM",
        "--online-cross-val", "--cross-validate-mode", "--train-single-epoch", "--examples-per-task", 20,
        "--log-dir", logs, path=[tmp_path / "absent"],
    )  # fmt: skip
    assert lines[-1].startswith("average accuracy = ")
    (labels,) = logs.glob("*_task_labels.pickle")
    assert [len(task) for task in safe_pickle.load(labels)[0]] == [2, 2, 2]
    assert "accuracy" in (logs / "cross_validation.txt").read_text()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["fc_mnist.py", "--imp-method", "MAS"], 2, "MAS"),
        (["fc_mnist.py", "--no-such"], 2, "unrecognized"),
        (["fc_mnist.py", "--data-dir", FOLDER], 1, "mnist"),
        (["conv_split_cifar.py", "--data-dir", FOLDER], 1, "cifar"),
        (["extract_res.py", "nowhere"], 1, "nowhere"),
    ],
)
def test_mistakes_are_one_line(words, code, part, tmp_path):
    if words[0] != "extract_res.py":
        words = [*words, "--log-dir", tmp_path]
    _, stderr = command(*words, code=code)
    assert part in stderr[0]
    assert len(stderr) == 1
