"""The files of a run: structure, equality of the three, names, clashes, the model."""

import itertools
import json
import os
import pickle
import pickletools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from clrepro.errors import DataError
from clrepro.io import safe_pickle
from ta_agem_repro import naming, outputs, reader, train
from ta_agem_repro.images import load_images
from ta_agem_repro.settings import INTRODUCTIONS, Settings

STAMP = datetime(2025, 8, 3, 14, 5, 9, 123456)
NAME = "results-seq-rem-1-perm-digits-20250803_140509"
KEYS = {
    "epoch_data", "task_boundaries", "batch_losses", "training_times", "oldest_task_ids_tracking",
    "timestamp", "task_accuracies", "per_task_accuracies", "memory_sizes", "epoch_losses", "learning_rate",
    "memory_efficiency", "params", "task_order",
}  # fmt: skip
PARAMS = {
    "add_remove_randomly", "batch_size", "dataset_name", "experiment_name", "hidden_dim", "input_dim",
    "learning_rate", "memory_size_p", "memory_size_q", "num_classes", "num_epochs", "num_pools", "num_tasks",
    "output_dir", "quick_test_mode", "random_em", "sampling_rate", "task_type", "task_introduction",
    "use_lr_scheduler", "verbose", "removal_function", "tracking_interval", "seed", "method", "version",
}  # fmt: skip


def load_pickle(path):
    return safe_pickle.load(path)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "results-seq-rem-1-perm-mnist-20250803_140509"),
        ({"quick_test_mode": True}, "results-q-seq-rem-1-perm-mnist-20250803_140509"),
        ({"random_em": False, "sampling_rate": 0.1}, "results-seq-0.1-perm-mnist-20250803_140509"),
        (
            {"task_type": "class_split", "num_tasks": 5, "task_introduction": "half and half"},
            "results-half-rem-1-cla-mnist-20250803_140509",
        ),
        (
            {"task_type": "rotation", "task_introduction": "random", "dataset_name": "fashion_mnist"},
            "results-rand-rem-1-rot-fashion_mnist-20250803_140509",
        ),
        ({"task_introduction": "continuous"}, "results-cont-rem-1-perm-mnist-20250803_140509"),
    ],
)
def test_names(changes, name):
    assert naming.stem(Settings(**changes), STAMP) == name


@pytest.mark.parametrize("introduction", INTRODUCTIONS)
def test_a_name_tells_what_went_into_it(introduction):
    kinds = itertools.product(
        (True, False), (True, False), (0.001, 0.1, 1, 2.5, 10), ("rotation", "class_split")
    )
    for quick, random_em, rate, task_type in kinds:
        settings = Settings(
            quick_test_mode=quick, random_em=random_em, sampling_rate=rate, task_type=task_type,
            task_introduction=introduction, dataset_name="cifar10", num_tasks=5,
        )  # fmt: skip
        for suffix in ("", "_1", "_12"):
            name = naming.stem(settings, STAMP) + suffix
            told = naming.told(name)
            assert told == {key: getattr(settings, key) for key in told}
            assert len(told) == 6
            assert naming.time_told(name) == STAMP.replace(microsecond=0)


def test_the_pickle_has_the_originals_structure(result, tmp_path):
    path = outputs.write_all(result, tmp_path, STAMP)[0]
    assert path.name == f"{NAME}.pkl"
    data = load_pickle(path)
    assert set(data) == KEYS
    assert set(data["params"]) == PARAMS
    assert data["epoch_data"][2] == {
        "epoch": 2, "task_id": 1, "overall_accuracy": 0.56, "individual_accuracies": [0.8, 0.4],
        "epoch_loss": 1.0, "memory_size": 8, "learning_rate": 0.05, "training_time": 0.75,
    }  # fmt: skip
    assert data["task_boundaries"] == [1, 3]
    assert data["training_times"] == [0.75, 1.75]
    assert len(data["batch_losses"]) == 16
    assert data["batch_losses"][5] == {
        "task": 0, "epoch": 1, "batch": 1, "loss": float(result.batch_loss[5]),
    }  # fmt: skip
    assert data["oldest_task_ids_tracking"][0] == ([[0, None], [None, None]], 0)
    assert data["oldest_task_ids_tracking"][3] == ([[0, 1], [1, 1]], 1)
    assert data["timestamp"] == "2025-08-03T14:05:09.123456"
    assert data["task_accuracies"] == [0.5, 0.9, 0.56, 0.76]
    assert data["per_task_accuracies"] == [[0.5], [0.9], [0.8, 0.4], [0.7, 0.8]]
    assert data["epoch_losses"] == [[1.2], [0.6], [1.0], [0.5]]
    assert data["memory_efficiency"] == [0.5 / 4, 0.9 / 6, 0.56 / 8, 0.76 / 8]
    assert data["params"]["removal_function"] == "remove_oldest"
    assert (data["params"]["seed"], data["params"]["method"]) == (7, "ta-agem")


def test_an_empty_memory_has_no_efficiency(result, tmp_path):
    result.epochs[0].memory_size = 0
    assert load_pickle(outputs.write_all(result, tmp_path, STAMP)[0])["memory_efficiency"][0] == 0.0


def test_the_pickle_holds_builtins_only(result, tmp_path):
    """Not even numpy's scalars, which a run hands over: the original's readers need nothing installed."""
    for epoch in result.epochs:
        epoch.overall, epoch.memory_size = np.float64(epoch.overall), np.int64(epoch.memory_size)
        epoch.loss, epoch.task_id = np.float32(epoch.loss), np.int16(epoch.task_id)
    result.boundaries = list(np.array(result.boundaries))
    data = outputs.write_all(result, tmp_path, STAMP)[0].read_bytes()
    operations = {operation.name for operation, _, _ in pickletools.genops(data)}
    assert not operations & {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "REDUCE", "NEWOBJ", "BUILD", "PERSID"}


def test_json_and_npz_together_hold_what_the_pickle_holds(result, tmp_path):
    pickled, text, archive = outputs.write_all(result, tmp_path, STAMP)
    data, document = load_pickle(pickled), json.loads(text.read_text())
    extra = document.pop("extra")
    assert document == {key: value for key, value in data.items() if key not in outputs.COLUMNS}
    assert extra["metrics"]["A"] == pytest.approx(0.68)
    assert extra["settings"]["memory_update"] == "epoch"
    assert extra["offered"] == {"0": 9, "1": 7}
    with np.load(archive, allow_pickle=False) as columns:
        for key, name in (("task", "task"), ("epoch", "epoch"), ("batch", "number"), ("loss", "loss")):
            assert columns[f"batch_{name}"].tolist() == [batch[key] for batch in data["batch_losses"]]
        tracked = [(np.where(f < 0, None, f).tolist(), t) for f, t in zip(
            columns["tracking"].astype(object), columns["tracking_task"].tolist(), strict=True)]  # fmt: skip
        assert columns["tracking"].dtype == np.int16
    assert tracked == data["oldest_task_ids_tracking"]


def test_a_metric_that_is_not_defined_is_null(result, tmp_path):
    result.steps = 0  # plain SGD never had a memory batch
    text = outputs.write_all(result, tmp_path, STAMP)[1].read_text()
    assert json.loads(text)["extra"]["metrics"]["mean_cosine"] is None
    assert "NaN" not in text


def test_a_name_that_is_taken_gets_a_number(result, tmp_path):
    first = outputs.write_all(result, tmp_path, STAMP)
    held = [path.read_bytes() for path in first]
    names = [outputs.write_all(result, tmp_path, STAMP)[0].name for _ in range(2)]
    assert names == [f"{NAME}_1.pkl", f"{NAME}_2.pkl"]
    assert [path.read_bytes() for path in first] == held


def test_one_file_of_a_stem_is_enough_to_take_it(result, tmp_path):
    (tmp_path / f"{NAME}.json").write_text("another run's")
    assert outputs.write_all(result, tmp_path, STAMP)[0].name == f"{NAME}_1.pkl"
    assert (tmp_path / f"{NAME}.json").read_text() == "another run's"


def test_runs_that_end_at_once_never_share_a_name(result, tmp_path):
    n = 8
    barrier = threading.Barrier(n)

    def write(number):
        mine = replace(result, settings=replace(result.settings, seed=number))
        barrier.wait()
        return outputs.write_all(mine, tmp_path, STAMP)

    with ThreadPoolExecutor(n) as pool:
        written = list(pool.map(write, range(n)))
    assert len({paths[0] for paths in written}) == n
    for number, (pickled, text, _) in enumerate(written):
        assert load_pickle(pickled)["params"]["seed"] == number
        assert json.loads(text.read_text())["params"]["seed"] == number
    assert sorted(tmp_path.iterdir()) == sorted(path for paths in written for path in paths)


def test_the_claim_of_a_killed_run_is_free_again(result, tmp_path):
    (tmp_path / f".{NAME}.lock").write_text("4711\n")  # its process is gone, and with it the lock
    assert outputs.write_all(result, tmp_path, STAMP)[0].name == f"{NAME}.pkl"


def test_all_files_or_none(result, tmp_path, monkeypatch):
    written = outputs.write_atomically

    def full_at_the_pickle(path, data):
        if path.suffix == ".pkl":
            raise DataError("disk full")
        written(path, data)

    monkeypatch.setattr(outputs, "write_atomically", full_at_the_pickle)
    with pytest.raises(DataError, match="disk full"):
        outputs.write_all(result, tmp_path, STAMP)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(result, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(DataError, match="out"):
        outputs.write_all(result, tmp_path / "out", STAMP)


def test_the_model_is_that_of_a_torch_sequential(result, tmp_path):
    torch = pytest.importorskip("torch")
    result.settings = replace(result.settings, save_model=True)
    path = outputs.write_all(result, tmp_path, STAMP)[-1]
    assert path.name == f"{NAME}.pt"
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Linear(3, 10)
    )
    net.load_state_dict(outputs.load_model(path), strict=True)
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    hidden = x
    for place, (weight, bias) in enumerate(result.parameters):
        hidden = hidden @ weight + bias
        hidden = np.maximum(hidden, 0) if place < 2 else hidden
    np.testing.assert_allclose(net(torch.from_numpy(x)).detach().numpy(), hidden, rtol=1e-5, atol=1e-6)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_a_model_file_that_would_run_something_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    for name, content in (
        ("evil.pt", pickle.dumps(Hostile())),
        ("cut.pt", b"PK\x03\x04cut"),
        ("none.pt", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name) as refused:
            outputs.load_model(tmp_path / name)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_a_real_run_comes_back_with_its_numbers(tmp_path):
    pytest.importorskip("sklearn")
    settings = Settings(
        dataset_name="digits", num_tasks=3, num_epochs=2, hidden_dim=10, learning_rate=0.05, seed=1,
        task_introduction="random", memory_size_q=3,
    )  # fmt: skip
    result = train.run(settings, load_images("digits"))
    path = outputs.write_all(result, tmp_path, STAMP)[0]
    for lost in ((), (".json", ".npz")):  # the authoritative pair, then the pickle alone
        for ending in lost:
            path.with_suffix(ending).unlink()
        run = reader.read(path)
        expected = result.metrics()
        found = run.metrics()
        assert found == pytest.approx({key: expected[key] for key in found}, abs=1e-12)
        np.testing.assert_array_equal(run.matrix(), result.matrix())
        np.testing.assert_array_equal(run.tracking, result.tracking)
        np.testing.assert_array_equal(run.batch_loss, result.batch_loss)
        assert run.task_order == result.task_order
