"""Reading: our files, synthetic files in each of the original's layouts, damage, and files that attack.

The original's example pickles are not part of this repository; what its layouts hold is written down in the
spec (2.5, 6.7, 6.10, 6.16) and rebuilt here by hand.
"""

import importlib
import json
import math
import os
import pickle
import subprocess
from datetime import UTC, datetime

import numpy as np
import pytest

from clrepro.errors import DataError
from ta_agem_repro import outputs, reader

STAMP = datetime(2025, 8, 3, 14, 5, 9)
ROWS = [[0.5], [0.9], [0.8, 0.4], [0.7, 0.8]]
OVERALL = [0.5, 0.9, 0.6, 0.75]


def dump(path, data):
    path.write_bytes(pickle.dumps(data))
    return path


def july_first():
    """The oldest layout: parallel lists, one row per task, losses of all its epochs, no ids, no params."""
    return {
        "task_accuracies": [0.9, 0.6, 0.7], "per_task_accuracies": [[0.9], [0.7, 0.5], [0.6, 0.7, 0.8]],
        "task_losses": [], "memory_sizes": [10, 20, 30], "epoch_losses": [[2.0, 1.0], [1.5, 0.5], [1.0]],
        "batch_losses": [{"task": 0, "epoch": 0, "batch": 0, "loss": 2.0}], "training_times": [1.0, 2.0, 3.0],
        "memory_efficiency": [0.09, 0.03, 0.7 / 30], "timestamp": "2025-07-12T10:00:00.5",
    }  # fmt: skip


def july_second(rows=ROWS, overall=OVERALL, tasks=(0, 0, 1, 1)):
    """epoch_data, but a boundary and a time for every epoch, no tracking, and `removal` at the top."""
    entries = [
        {
            "epoch": e, "task_id": task, "overall_accuracy": whole, "individual_accuracies": row,
            "epoch_loss": 1.0 / (e + 1), "memory_size": 5 * e, "learning_rate": None,
            "training_time": 2.0 + e,
        }
        for e, (task, whole, row) in enumerate(zip(tasks, overall, rows, strict=True))
    ]  # fmt: skip
    return {
        "epoch_data": entries, "task_boundaries": list(range(len(rows))), "batch_losses": [],
        "training_times": [2.0 + e for e in range(len(rows))], "timestamp": "2025-07-24T12:00:00",
        "task_accuracies": list(overall), "per_task_accuracies": list(rows), "removal": "remove_oldest",
        "params": {"task_type": "rotation", "num_tasks": 2},
    }  # fmt: skip


def august(**more):
    """The last layout: as before, with the oldest task ids."""
    frames = [([[0, None], [None, None]], 0), ([[0, 0], [0, None]], 1)]
    return july_second() | {"oldest_task_ids_tracking": frames} | more


def test_our_files_by_hand(result, tmp_path):
    path = outputs.write_all(result, tmp_path, STAMP)[0]
    expected = {"A": 0.68, "A_T": 0.75, "F1": 0.15, "F": 0.2, "T1": 0.725, "BWT": -0.2}
    run = reader.read(path)
    assert run.source == "json"
    assert run.metrics() == pytest.approx(expected)
    assert run.rebuilt == ()
    assert run.timestamp == STAMP
    assert run.epochs == result.epochs
    for name in reader.DTYPES:
        mine, theirs = getattr(run, name), getattr(result, name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_the_pickle_alone_tells_the_same(result, tmp_path):
    path, text, archive = outputs.write_all(result, tmp_path, STAMP)
    both = reader.read(path)
    text.unlink()
    archive.unlink()
    alone = reader.read(path)
    assert (alone.source, both.source) == ("pickle", "json")
    # Without the test sizes A is the mean of the stored micro averages, which is the same number.
    assert alone.metrics() == pytest.approx(both.metrics(), abs=1e-12)
    for name in ("epochs", "task_order", "boundaries", "training_times", "params", "timestamp", "rebuilt"):
        assert getattr(alone, name) == getattr(both, name)
    for name in reader.DTYPES:
        np.testing.assert_array_equal(getattr(alone, name), getattr(both, name))


def test_json_counts_where_it_lies_beside_a_pickle(result, tmp_path):
    path, text, _ = outputs.write_all(result, tmp_path, STAMP)
    data = pickle.loads(path.read_bytes())
    data["epoch_data"][0]["individual_accuracies"] = [0.1]
    dump(path, data)
    assert reader.read(path).epochs[0].accuracies == {0: 0.5}
    assert reader.read(text).epochs[0].accuracies == {0: 0.5}


def test_a_json_without_its_npz_has_no_columns(result, tmp_path, caplog):
    _, text, archive = outputs.write_all(result, tmp_path, STAMP)
    archive.unlink()
    run = reader.read(text)
    assert run.metrics()["A"] == pytest.approx(0.68)
    assert len(run.batch_loss) == 0
    assert "no .npz" in caplog.text


def test_columns_are_left_aside_on_request(result, tmp_path):
    path, _, archive = outputs.write_all(result, tmp_path, STAMP)
    archive.write_bytes(b"damaged")
    assert len(reader.read(path, columns=False).batch_loss) == 0


def test_tasks_in_another_order_keep_their_columns(result, tmp_path):
    result.task_order = [1, 0]
    for epoch in result.epochs:
        epoch.accuracies = {1 - task: a for task, a in epoch.accuracies.items()}
        epoch.task_id = 1 - epoch.task_id
    result.test_sizes = [30, 20]
    run = reader.read(outputs.write_all(result, tmp_path, STAMP)[0])
    np.testing.assert_array_equal(run.matrix()[:, 1], [0.5, 0.9, 0.8, 0.7])
    expected = {"A": 0.68, "A_T": 0.75, "F1": 0.15, "F": 0.2, "T1": 0.725, "BWT": -0.2}
    assert run.metrics() == pytest.approx(expected)


# --- the original's layouts ---------------------------------------------------------------------------------


def test_the_oldest_layout_is_rebuilt_from_its_lists(tmp_path):
    run = reader.read(dump(tmp_path / "ta_agem_metrics_20250712_100000.pkl", july_first()))
    assert [e.task_id for e in run.epochs] == [0, 1, 2]
    assert [e.loss for e in run.epochs] == [1.5, 1.0, 1.0]
    assert [e.memory_size for e in run.epochs] == [10, 20, 30]
    assert run.training_times == [1.0, 2.0, 3.0]
    assert run.boundaries == [0, 1, 2]
    assert run.timestamp == datetime(2025, 7, 12, 10, 0, 0, 500000)
    assert (run.task_type, dict(run.params)) == ("unknown", {})
    assert run.tracking.shape == (0, 0, 0)
    assert "epoch_data" in run.rebuilt
    expected = {
        "A": (0.9 + 0.6 + 0.7) / 3, "A_T": 0.7, "F1": ((0.9 - 0.7) + (0.9 - 0.6)) / 2,
        "F": ((0.9 - 0.6) + (0.7 - 0.7)) / 2, "T1": (0.9 + 0.7 + 0.6) / 3,
        "BWT": ((0.6 - 0.9) + (0.7 - 0.5)) / 2,
    }  # fmt: skip
    assert run.metrics() == pytest.approx(expected)


def test_overall_accuracies_alone_give_a_and_nothing_else(tmp_path):
    run = reader.read(dump(tmp_path / "ta_agem_metrics_x.pkl", {"task_accuracies": [0.5, 0.7]}))
    metrics = run.metrics()
    assert metrics.pop("A") == pytest.approx(0.6)
    assert all(math.isnan(value) for value in metrics.values())
    assert run.timestamp is None


def test_boundaries_and_times_of_every_epoch_become_those_of_tasks(tmp_path):
    run = reader.read(dump(tmp_path / "results-rem-rot-mnist-20250724_120000.pkl", july_second()))
    assert run.boundaries == [1, 3]
    assert run.training_times == [2.0 + 3.0, 4.0 + 5.0]
    assert math.isnan(run.epochs[0].learning_rate)
    assert run.metrics() == pytest.approx(
        {"A": 0.6875, "A_T": 0.75, "F1": 0.15, "F": 0.2, "T1": 0.725, "BWT": -0.2}
    )


def test_what_params_lack_comes_from_the_name_and_from_older_keys(tmp_path):
    run = reader.read(
        dump(tmp_path / "results-rem-0.1-cla-fashion_mnist-20250729_110112_1.pkl", july_second())
    )
    assert run.params["task_type"] == "rotation"  # the file's own word counts
    assert run.params["sampling_rate"] == 0.1
    assert run.params["random_em"] is True
    assert run.params["dataset_name"] == "fashion_mnist"
    assert run.params["removal_function"] == "remove_oldest"
    assert "params.sampling_rate" in run.rebuilt
    assert "params.task_type" not in run.rebuilt
    plain = reader.read(dump(tmp_path / "results-10-cla-mnist-20250728_232219.pkl", july_first()))
    assert (plain.task_type, plain.params["sampling_rate"]) == ("class_split", 10.0)
    assert plain.params["random_em"] is False
    bare = reader.read(dump(tmp_path / "results-cla-mnist-20250723_123500.pkl", july_first()))
    assert bare.task_type == "class_split"
    assert "sampling_rate" not in bare.params


def test_the_last_layout_has_frames(tmp_path):
    run = reader.read(dump(tmp_path / "a.pkl", august()))
    assert run.tracking.dtype == np.int16
    assert run.tracking.tolist() == [[[0, -1], [-1, -1]], [[0, 0], [0, -1]]]
    assert run.tracking_task.tolist() == [0, 1]


def test_frames_that_grow_are_padded(tmp_path):
    frames = [([[0]], 0), ([[0, 1], [1, None]], 1.5), ([], None)]
    run = reader.read(dump(tmp_path / "a.pkl", august(oldest_task_ids_tracking=frames)))
    assert run.tracking.tolist() == [[[0, -1], [-1, -1]], [[0, 1], [1, -1]], [[-1, -1], [-1, -1]]]
    assert run.tracking_task.tolist() == [0, 1, -1]


def test_a_random_order_is_read_off_the_task_ids(tmp_path):
    run = reader.read(dump(tmp_path / "a.pkl", july_second(tasks=(1, 1, 0, 1))))
    assert run.task_order == [1, 0]
    assert run.boundaries == [3, 2]
    np.testing.assert_array_equal(run.matrix()[:, 1], [0.5, 0.9, 0.8, 0.7])
    assert "task_order" in run.rebuilt


def test_mixed_epochs_count_for_the_task_that_leaves(tmp_path):
    """t + i/n while task t leaves; -1 for the last, broken transition."""
    rows = [[0.5], [0.9, 0.1], [0.8, 0.4], [0.7, 0.8]]
    data = july_second(rows=rows, tasks=(0, 0.3, 1, -1))
    data["batch_losses"] = [{"task": 0.3, "epoch": 1, "batch": 2, "loss": 0.25}]
    run = reader.read(dump(tmp_path / "a.pkl", data))
    assert run.task_order == [0, 1]
    assert run.boundaries == [1, 2]
    assert (run.batch_task.tolist(), run.batch_number.tolist(), run.batch_loss.tolist()) == ([0], [2], [0.25])


def test_numbers_of_numpy_and_torch_are_numbers(tmp_path):
    data = july_second()
    data["epoch_data"][0]["overall_accuracy"] = np.float64(0.5)
    data["epoch_data"][1]["individual_accuracies"] = [np.float32(0.5)]
    data["epoch_data"][2]["individual_accuracies"] = np.array([0.25, 0.75])
    torch = pytest.importorskip("torch")
    data["epoch_data"][3]["overall_accuracy"] = torch.tensor(0.25)
    epochs = reader.read(dump(tmp_path / "a.pkl", data)).epochs
    assert (epochs[0].overall, epochs[1].accuracies, epochs[3].overall) == (0.5, {0: 0.5}, 0.25)
    assert epochs[2].accuracies == {0: 0.25, 1: 0.75}


@pytest.mark.parametrize(
    ("stored", "name", "expected"),
    [
        ("2025-07-24T12:00:00", "results-rem-cla-mnist-20250101_000000", datetime(2025, 7, 24, 12)),
        (datetime(2025, 7, 24, 12), "x", datetime(2025, 7, 24, 12)),
        (None, "ta_agem_metrics_20250718_113648_1", datetime(2025, 7, 18, 11, 36, 48)),
        (None, "ta_agem_metrics_99999999_999999", None),
        (None, "x", None),
    ],
)
def test_the_time_stamp_is_the_stored_one_then_the_names(tmp_path, stored, name, expected):
    assert (
        reader.read(dump(tmp_path / f"{name}.pkl", july_second() | {"timestamp": stored})).timestamp
        == expected
    )


def test_a_time_stamp_with_a_zone_becomes_local_time(tmp_path):
    utc = datetime(2025, 7, 24, 12, tzinfo=UTC)
    run = reader.read(dump(tmp_path / "a.pkl", july_second() | {"timestamp": utc.isoformat()}))
    assert run.timestamp is not None
    assert run.timestamp.astimezone() == utc


# --- refusals -----------------------------------------------------------------------------------------------


class Hostile:
    """Pickles into a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch ran",), "system"),
        (eval, ("open('ran', 'w')",), "eval"),
        (subprocess.Popen, (["touch", "ran"],), "Popen"),
        (importlib.import_module, ("ran",), "import_module"),
    ],
)
def test_a_pickle_that_would_run_something_is_refused(tmp_path, monkeypatch, function, arguments, name):
    monkeypatch.chdir(tmp_path)
    path = dump(tmp_path / "evil.pkl", july_second() | {"extra": Hostile(function, *arguments)})
    with pytest.raises(DataError, match=rf"evil\.pkl.*{name}") as refused:
        reader.read(path)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_a_truncated_pickle_is_named_in_one_line(tmp_path):
    whole = pickle.dumps(august())
    for kept in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path = tmp_path / "cut.pkl"
        path.write_bytes(whole[:kept])
        with pytest.raises(DataError, match=r"cut\.pkl: not a complete pickle") as refused:
            reader.read(path)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([1, 2], "holds a list"),
        ({}, "neither epoch_data nor task_accuracies"),
        ({"epoch_data": [1]}, "no list of dicts"),
        ({"task_accuracies": [0.5], "per_task_accuracies": [[0.5], [0.5]]}, "per_task_accuracies"),
        (july_second(overall=(0.5, 0.9, 56.0, 0.75)), r"epoch_data\[2\]\.overall_accuracy is 56\.0"),
        (july_second(overall=(0.5, 0.9, math.nan, 0.75)), "overall_accuracy is nan"),
        (july_second(overall=(0.5, 0.9, "0.6", 0.75)), "overall_accuracy is '0.6', expected a number"),
        (july_second(rows=[[0.5], [True], [0.8, 0.4], [0.7, 0.8]]), "individual_accuracies is True"),
        (july_second(rows=[[0.5], None, [0.8, 0.4], [0.7, 0.8]]), "individual_accuracies is no list"),
        (august(batch_losses=[{"task": 0}]), "batch_losses"),
        (august(batch_losses=[{"task": 99999, "epoch": 0, "batch": 0, "loss": 1.0}]), "batch_losses"),
        (august(oldest_task_ids_tracking=[[0]]), "oldest_task_ids_tracking"),
        (august(oldest_task_ids_tracking=[([["a"]], 0)]), "oldest_task_ids_tracking"),
        (august(params=[1]), "params is a list"),
        (august(task_order=[0, 0]), "task_order"),
        (august(task_order=[0]), "task_order"),
        (august(timestamp="yesterday"), "timestamp 'yesterday'"),
        (august(training_times=["a"]), "training_times"),
    ],
)
def test_what_is_no_run_is_refused_with_the_place(tmp_path, data, reason):
    with pytest.raises(DataError, match=reason) as refused:
        reader.read(dump(tmp_path / "wrong.pkl", data))
    assert "wrong.pkl" in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    for name in ("none.pkl", "none.json"):
        with pytest.raises(DataError, match=f"{name}: cannot be read"):
            reader.read(tmp_path / name)


def test_damaged_companions_are_refused_and_not_passed_over(result, tmp_path):
    """The pair counts: falling back to the pickle would hide that it is damaged."""
    path, text, archive = outputs.write_all(result, tmp_path, STAMP)
    good_text, good_archive = text.read_bytes(), archive.read_bytes()
    for damage in (b"", b"{", b"[]", b"\xff\xfe", good_text.replace(b"0.56", b"NaN", 1)):
        text.write_bytes(damage)
        with pytest.raises(DataError, match=r"\.json"):
            reader.read(path)
    text.write_bytes(good_text)
    for damage in (b"", b"PK", good_archive[: len(good_archive) // 2]):
        archive.write_bytes(damage)
        with pytest.raises(DataError, match=r"\.npz"):
            reader.read(path)


def test_columns_of_the_wrong_kind_are_refused(result, tmp_path):
    path, _, archive = outputs.write_all(result, tmp_path, STAMP)
    with np.load(archive) as held:
        good = dict(held)
    for name, column in (
        ("batch_loss", good["batch_loss"].astype(np.float64)),
        ("batch_task", good["batch_task"][:-1]),
        ("tracking", good["tracking"][0]),
        ("tracking_task", np.array([None] * 4)),
    ):
        np.savez(archive, **(good | {name: column}))
        with pytest.raises(DataError, match=r"\.npz"):
            reader.read(path)


def test_test_sizes_must_fit_the_tasks(result, tmp_path):
    path, text, _ = outputs.write_all(result, tmp_path, STAMP)
    for sizes in ([20], [20, 0], ["20", 30], {"0": 20}):
        document = json.loads(text.read_text())
        document["extra"]["test_sizes"] = sizes
        text.write_text(json.dumps(document))
        with pytest.raises(DataError, match="test_sizes"):
            reader.read(path)
