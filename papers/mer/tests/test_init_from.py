"""`--init_from`: a run that starts from a saved model, and files that are none."""

import argparse
import json

import numpy as np
import pytest
import torch

from clrepro.errors import DataError
from mer_repro import outputs
from mer_repro.cli import main
from mer_repro.learner import build
from mer_repro.settings import MODELS

SMALL = {"n_hiddens": 6, "n_layers": 2, "n_memories": 2, "lr": 0.1}


def small(model, engine="fused", seed=0, **changes):
    return build(model, 5, 3, 2, argparse.Namespace(**{**SMALL, "engine": engine, "seed": seed, **changes}))


def equal(a, b):
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("engine", ["fused", "reference"])
@pytest.mark.parametrize("model", MODELS)
def test_a_learner_takes_every_parameter_of_a_saved_one(model, engine):
    """Afterwards both predict the same and learn the same, whichever engine saved them."""
    rng = np.random.default_rng(0)
    x, y = rng.random((6, 5), np.float32), rng.integers(0, 3, 6)
    saved = small(model, "reference", seed=1)
    for t in (0, 1):
        saved.observe(x, t, y)
    fresh = small(model, engine, seed=2)
    assert not equal(fresh.state_dict(), saved.state_dict())
    fresh.start_from(saved.state_dict(), "x.pt")
    assert equal(fresh.state_dict(), saved.state_dict())
    for t in (0, 1):
        torch.testing.assert_close(fresh.forward(x, t), saved.forward(x, t))


@pytest.mark.parametrize(
    ("model", "changes", "name"),
    [
        ("online", {"n_hiddens": 7}, "net.net.0.weight"),
        ("online", {"n_layers": 1}, "net.net.2.weight"),
        ("online", {"n_layers": 3}, "net.net.4.weight"),
        ("independent", {}, "net.net.0.weight"),
        ("taskinput", {}, "net.net.0.weight"),
    ],
)
def test_a_model_of_another_kind_is_refused_and_nothing_is_taken(model, changes, name):
    other = small("online", **changes)
    learner = small(model)
    before = {key: value.clone() for key, value in learner.state_dict().items()}
    with pytest.raises(DataError, match=r"^x\.pt: ") as problem:
        learner.start_from(other.state_dict(), "x.pt")
    assert "\n" not in str(problem.value)
    assert equal(before, learner.state_dict())
    if model == "online":
        assert name in str(problem.value)


def run(task_files, folder, *flags):
    """The result files of one short run; returns (weights at the end, record)."""
    where = ["--data_path", str(task_files), "--data_file", "lazy.pt", "--save_path", str(folder)]
    words = ["--model", "online", "--n_hiddens", "8", "--samples_per_task", "5", "--lr", "0", *where, *flags]
    assert main(words) == 0
    (path,) = folder.glob("*.pt")
    return outputs.read_weights(path), json.loads(path.with_suffix(".json").read_text()), path


@pytest.mark.parametrize("form", ["result file", "state dict"])
def test_a_run_starts_from_what_another_saved(form, task_files, tmp_path):
    """At a rate of zero the weights at the end are those of the start."""
    first, record, path = run(task_files, tmp_path / "a", "--seed", "1")
    assert "init_from" not in record["settings"]
    if form == "state dict":
        path = tmp_path / "state.pt"
        torch.save(first, path)
    second, record, _ = run(task_files, tmp_path / "b", "--seed", "2", "--init_from", str(path))
    third, _, _ = run(task_files, tmp_path / "c", "--seed", "2")
    assert equal(first, second)
    assert not equal(first, third)
    assert record["settings"]["init_from"] == str(path)
    assert len(record["data"]["init_from_sha256"]) == 64


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        ({}, "holds no saved model"),
        ([1, 2], "holds no saved model"),
        ({"net.net.0.weight": 3}, "is no tensor"),
        ({"net.net.0.weight": torch.tensor([1, 2])}, "is no tensor of floating-point numbers"),
        ({"net.net.0.weight": torch.tensor([float("nan")])}, "not finite"),
        ({"net.net.0.weight": torch.zeros(2)}, "'net.net.0.weight' is (2,) there and (8, 784) here"),
    ],
)
def test_a_file_that_is_no_model_is_one_line(content, said, task_files, tmp_path, capsys):
    path = tmp_path / "x.pt"
    if content is not None:
        torch.save(content, path)
    where = ["--data_path", str(task_files), "--data_file", "lazy.pt", "--save_path", str(tmp_path / "r")]
    words = ["--model", "online", "--n_hiddens", "8", *where, "--init_from", str(path)]
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}: " in line
    assert said in line


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"net.net.0.weight": Bomb()}, tmp_path / "x.pt")
    with pytest.raises(DataError, match="not a readable result file"):
        outputs.read_weights(tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()
