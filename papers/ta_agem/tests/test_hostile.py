"""Configurations and result files with values that break a reader's next step: one line, soon, for each."""

import json
import pickle

import numpy as np
import pytest

from clrepro.errors import DataError, UsageError
from ta_agem_repro import reader
from ta_agem_repro.config import parse_changes, resolve
from ta_agem_repro.images import read_env

LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12)
)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS + "batch_size: *a11", "stands for more than 10000 values"),
        (MERGES, "stands for more than 10000 values"),
        ("&a {batch_size: *a}", "or for itself"),
        ("x: " + "[" * 5000, "nested too deeply"),
        ("x: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("x: !!int abc", "invalid literal"),
        ("x: !!bool maybe", "maybe"),
        ("x: 2001-99-99", "month must be in 1..12"),
        ("batch_size: " + "9" * 5000, "4300 digits"),
        ("learning_rate: " + "9" * 400, "a number of 1329 bits"),
        ("task_specific: true", "task_specific True"),
        ("batch_size: [" + "1, " * 4000 + "]", "batch_size"),
        ("x: '" + "x" * (1 << 20) + "'", "characters; expected at most"),
    ],
)
def test_configurations_that_are_bombs_or_nonsense(text, reason, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UsageError, match=reason) as problem:
        resolve({}, config=str(tmp_path / "x.yaml"))
    assert len(str(problem.value)) < 400


def test_anchors_of_a_sensible_size_are_read(tmp_path):
    (tmp_path / "x.yaml").write_text(
        "a: &a {num_tasks: 3}\ntask_specific: {permutation: *a, rotation: {<<: *a}}\n"
    )
    assert resolve({}, config=str(tmp_path / "x.yaml")).num_tasks == 3
    assert parse_changes(["num_epochs=[1, 2]"]) == {"num_epochs": [1, 2]}
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        parse_changes(["num_epochs=!!bool maybe"])


def test_an_env_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / ".env").write_bytes(b"DATASET_LOCATION_MNIST=\xff\xfe")
    with pytest.raises(DataError, match=r"\.env: not a text in UTF-8"):
        read_env(tmp_path / ".env")


ENTRY = {"task_id": 0, "overall_accuracy": 0.5, "individual_accuracies": [0.5], "epoch_loss": 0.25}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epoch_data": [{**ENTRY, "epoch_loss": 10**6000}]}, "holds an integer of 19932 bits"),
        ({"epoch_data": [{**ENTRY, "memory_size": float("inf")}]}, "memory_size is inf"),
        ({"epoch_data": [{**ENTRY, "task_id": [10**6000]}]}, "holds an integer of 19932 bits"),
        ({"epoch_data": [{**ENTRY, "individual_accuracies": [0.5] * 40_000}]}, "no run has so many"),
        ({"task_order": [10**6000]}, "holds an integer of 19932 bits"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp '0001"),
        ({"timestamp": 10**6000}, "holds an integer of 19932 bits"),
        ({"params": np.zeros(2)}, "params is a ndarray"),
        ({"training_times": np.zeros((2, 2))}, "training_times"),
        ({"oldest_task_ids_tracking": [([[0] * 3000], 0)] * 100_000}, "oldest_task_ids_tracking"),
    ],
)
def test_values_that_no_run_has_are_refused(change, reason, tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"epoch_data": [ENTRY], **change}, 4))
    with pytest.raises(DataError, match=reason) as problem:
        reader.read(path)
    assert len(str(problem.value)) < 400


def test_arrays_in_the_place_of_lists_are_read(tmp_path):
    content = {"epoch_data": [ENTRY], "training_times": np.ones(1), "batch_losses": np.zeros(0)}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, 4))
    assert reader.read(tmp_path / "x.pkl").training_times == [1.0]
    (tmp_path / "y.json").write_text(json.dumps({"epoch_data": [ENTRY]}))
    assert len(reader.read(tmp_path / "y.json").epochs) == 1
