"""Folders of runs, and the original's own examples where somebody has them."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from clrepro.errors import DataError
from ta_agem_repro import reader


def july(stamp="2025-07-24T12:00:00"):
    """A small run of the layout with epoch_data."""
    entry = {
        "epoch": 0, "task_id": 0, "overall_accuracy": 0.5, "individual_accuracies": [0.5], "epoch_loss": 1.0,
        "memory_size": 0, "learning_rate": None, "training_time": 2.0,
    }  # fmt: skip
    return {
        "epoch_data": [entry], "task_boundaries": [0], "batch_losses": [], "training_times": [2.0],
        "timestamp": stamp, "task_accuracies": [0.5], "per_task_accuracies": [[0.5]],
        "removal": "remove_oldest", "params": {"task_type": "rotation", "num_tasks": 1},
    }  # fmt: skip


def dump(path, data):
    path.write_bytes(pickle.dumps(data))
    return path


class Hostile:
    """Something that a plain unpickler would run."""

    def __reduce__(self):
        return os.system, ("true",)


def test_the_latest_runs_are_the_latest_by_their_own_time(tmp_path):
    for number, hour in enumerate((9, 11, 10)):
        path = dump(tmp_path / f"run{number}.pkl", july(f"2025-07-24T{hour:02}:00:00"))
        os.utime(path, (10**9 - number, 10**9 - number))  # as a copy would leave them
    runs, problems = reader.newest(tmp_path, 2)
    assert [run.path.name for run in runs] == ["run2.pkl", "run1.pkl"]
    assert problems == []
    assert len(reader.newest(tmp_path)[0]) == 3


def test_unreadable_files_are_told_and_the_others_read(tmp_path, write_run):
    write_run(tmp_path)
    dump(tmp_path / "evil.pkl", Hostile())
    (tmp_path / "cut.pkl").write_bytes(b"\x80")
    runs, problems = reader.newest(tmp_path)
    assert len(runs) == 1
    assert len(problems) == 2
    assert any("evil.pkl" in line and "system" in line for line in problems)


def test_a_run_whose_pickle_was_deleted_is_still_found(tmp_path, write_run):
    write_run(tmp_path).unlink()
    assert [run.source for run in reader.newest(tmp_path)[0]] == ["json"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        reader.newest(tmp_path / "none")


# --- the original's own examples, where somebody has them ---------------------------------------------------

EXAMPLES = os.environ.get("CL_REPRO_TA_AGEM_EXAMPLES")  # the folder examples/ of the original


@pytest.mark.full
@pytest.mark.skipif(EXAMPLES is None, reason="CL_REPRO_TA_AGEM_EXAMPLES is not set")
@pytest.mark.parametrize(
    ("name", "a", "final", "f1", "t1"),
    [
        ("baseline_better_sampling_20250717_110239.pkl", 0.6440, 0.5521, 0.4806, 0.4639),
        ("removal_based_on_mean_20250717_112625.pkl", 0.8309, 0.8462, 0.0588, 0.7936),
    ],
)
def test_the_originals_examples_give_the_specs_numbers(name, a, final, f1, t1):
    """Source: spec 1.5, read off the same files by its author."""
    run = reader.read(Path(EXAMPLES) / name)
    found = run.metrics()
    assert [found["A"], run.epochs[-1].overall, found["F1"], found["T1"]] == pytest.approx(
        [a, final, f1, t1], abs=5e-5
    )
    assert run.epochs[-1].memory_size == 300


@pytest.mark.full
@pytest.mark.skipif(EXAMPLES is None, reason="CL_REPRO_TA_AGEM_EXAMPLES is not set")
@pytest.mark.parametrize(
    ("folder", "numbers"),
    [
        ("4-r-mnist-normal-oldest-redo", (0.8997, 0.0060, 0.1088, 0.0210, 0.9123, 0.0168)),
        ("4-r-mnist-016_5-oldest", (0.9432, 0.0105, 0.0855, 0.0271, 0.9310, 0.0216)),
    ],
)
def test_the_originals_folders_give_the_specs_means(folder, numbers):
    """Source: spec 1.5, mean and sample deviation of five class-split runs."""
    runs, problems = reader.newest(Path(EXAMPLES) / folder)
    runs = [run for run in runs if run.task_type == "class_split"]
    assert (len(runs), problems) == (5, [])
    found = [[run.metrics()[metric] for run in runs] for metric in ("A", "F1", "T1")]
    spread = [value for row in found for value in (np.mean(row), np.std(row, ddof=1))]
    assert spread == pytest.approx(list(numbers), abs=5e-5)
