"""The original's files, byte for byte (contract 2.7, oracle O9)."""

import argparse
from datetime import datetime

import numpy as np
import pytest
import torch

from clrepro.errors import DataError
from clrepro.records import read_record
from mer_repro import outputs
from mer_repro.settings import Settings
from mer_repro.train import TrainResult

MATRIX = np.array([[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.5, 0.6, 0.7]])
BASELINE = np.array([0.1, 0.11, 0.12345])
METRICS = {"RA": 0.6, "BTI": -0.2, "LA": 0.8, "FWT": 0.09}


@pytest.fixture
def result():
    rows = np.vstack([BASELINE, MATRIX]).astype(np.float32)
    state = {"net.net.0.weight": torch.ones(2, 2)}
    return TrainResult(
        np.array([0, 0, 1, 2], np.float32),
        rows,
        state,
        METRICS,
        MATRIX,
        BASELINE,
        [0, 1, 2],
        1.5,
        0.25,
        "fused",
    )


def settings(tmp_path):
    return Settings(
        model="meralg1", data_file="mnist_rotations.pt", save_path=f"{tmp_path}/results/", lr=0.03
    )


def test_text_file_is_exact():
    assert outputs.text_file(BASELINE, MATRIX, METRICS) == (
        "0.1000 0.1100 0.1235\n|\n0.9000 0.2000 0.1000\n0.7000 0.8000 0.3000\n0.5000 0.6000 0.7000\n\n"
        "Final Accuracy: 0.6000\nBackward: -0.2000\nForward:  0.0900\n"
    )


def test_base_name_keeps_the_data_files_ending(tmp_path):
    unique = "0123456789abcdef" * 2
    name = outputs.base_name(settings(tmp_path), datetime(2020, 2, 15, 15, 10, 47), unique)
    assert name == f"{tmp_path}/results/meralg1_mnist_rotations.pt_2020_02_15_15_10_47_{unique}"


def test_result_tuple_has_the_documented_types(tmp_path, result):
    base = outputs.base_name(settings(tmp_path))
    line = outputs.write_results(base, result, settings(tmp_path), {"file": "x"})
    t, a, state, stats, one_liner, args = outputs.read_tuple(
        tmp_path / "results" / f"{base.rsplit('/', 1)[1]}.pt"
    )
    assert (t.dtype, tuple(t.shape)) == (torch.float32, (4,))
    assert (a.dtype, tuple(a.shape)) == (torch.float32, (4, 3))
    assert list(state) == ["net.net.0.weight"]
    assert [round(float(s), 4) for s in stats] == [0.6, -0.2, 0.09]
    assert all(s.ndim == 0 for s in stats)
    assert isinstance(args, argparse.Namespace)
    assert one_liner == f"{vars(args)} # 0.600 -0.200 0.090"
    assert line == f"{base}: {one_liner} # 1.75"


@pytest.mark.parametrize("content", [b"", b"cos\nsystem\n(S'true'\ntR.", b"PK\x03\x04"])
def test_a_file_that_is_no_result_is_one_line(content, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.pt: not a readable result file"):
        outputs.read_tuple(tmp_path / "x.pt")
    torch.save([1], tmp_path / "x.pt")
    with pytest.raises(DataError, match="no tuple of six"):
        outputs.read_tuple(tmp_path / "x.pt")


def test_record_lies_beside_and_keeps_the_learning_accuracy(tmp_path, result):
    base = outputs.base_name(settings(tmp_path))
    outputs.write_results(base, result, settings(tmp_path), {"file": "x", "sha256": "0"})
    (path,) = (tmp_path / "results").glob("*.json")
    record = read_record(path)
    assert record.metrics == METRICS
    assert record.settings["lr"] == 0.03
    assert record.series["R"] == MATRIX.tolist()
    text = path.with_suffix(".txt").read_text()
    assert "0.8000\n" not in text.split("Final")[1], "LA belongs to the record, never to the .txt"


def test_a_folder_that_cannot_be_made_is_reported(tmp_path, result):
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(DataError):
        outputs.write_results(outputs.base_name(settings(tmp_path)), result, settings(tmp_path), {})
