"""The command line of main.py: every flag, its default, and what is refused (contract 2.2, 5.4)."""

import pytest

from clrepro.errors import UsageError
from mer_repro.cli import parse
from mer_repro.settings import MODELS, Settings

DEFAULTS = {
    "n_hiddens": 100,
    "n_layers": 2,
    "finetune": True,
    "n_epochs": 1,
    "batch_size": 1,
    "lr": 1e-3,
    "n_memories": 0,
    "memory_strength": 0,
    "memories": 5120,
    "gamma": 1.0,
    "batches_per_example": 1,
    "s": 1,
    "replay_batch_size": 20,
    "beta": 1.0,
    "cuda": False,
    "seed": 0,
    "log_every": 100,
    "save_path": "results/",
    "data_path": "data/",
    "data_file": "mnist_permutations.pt",
    "samples_per_task": -1,
    "shuffle_tasks": False,
}


def test_defaults_are_the_contracts():
    settings = parse(["--model", "online"])
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert list(settings.contract()) == ["model", *DEFAULTS]


def test_our_flags_change_nothing_when_absent():
    settings = parse(["--model", "online"])
    assert (settings.engine, settings.sampler, settings.eval_policy) == ("auto", "auto", "full")
    assert settings.legacy_eval is False
    assert settings.checkpoint_dir == ""
    assert settings.init_from == ""


def test_given_floats_stay_floats_in_the_printed_arguments():
    printed = parse(
        ["--model", "meralg1", "--batches_per_example", "10", "--replay_batch_size", "25"]
    ).contract()
    assert str(printed["replay_batch_size"]) == "25.0"
    assert str(printed["batches_per_example"]) == "10.0"


def test_defaults_are_printed_as_the_original_writes_them():
    """Whole where its parser says 0 or 1 for a float."""
    printed = str(parse(["--model", "online"]).contract())
    for part in ("'memory_strength': 0,", "'batches_per_example': 1,", "'s': 1,", "'replay_batch_size': 20,"):
        assert part in printed
    assert "'finetune': True," in printed
    assert printed.endswith("'shuffle_tasks': 'no'}")
    assert str(parse(["--model", "online", "--shuffle_tasks", "yes"]).contract()).endswith("'yes'}")
    assert "'gamma': 1.0," in printed
    assert "'beta': 1.0," in printed


@pytest.mark.parametrize(
    ("text", "value"), [("yes", True), ("no", False), ("True", False), ("Yes", False), ("1", False)]
)
def test_anything_but_yes_means_no(text, value):
    assert parse(["--model", "online", "--shuffle_tasks", text]).shuffle_tasks is value


def test_flags_may_be_abbreviated():
    assert parse(["--mod", "online", "--samples", "7"]).samples_per_task == 7


def test_taskinput_counts_its_input_layer():
    assert parse(["--model", "taskinput", "--n_layers", "2"]).n_layers == 1
    assert parse(["--model", "taskinput", "--n_layers", "0"]).n_layers == -1
    assert parse(["--model", "online", "--n_layers", "2"]).n_layers == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--model single: not a learner; one of online"),
        (["--model", "ALGORITHM1"], "not a learner"),
        (["--model", "gem"], "--n_memories 0"),
        (["--model", "gem", "--n_memories", "-3"], "must be from 0"),
        (["--model", "meralg1", "--memories", "0"], "--memories 0"),
        (["--model", "meralg1", "--batches_per_example", "0"], "must be from 1"),
        (["--model", "meralg1", "--batches_per_example", "1.5"], "whole number"),
        (["--model", "meralg1", "--batches_per_example", "nan"], "not a finite number"),
        (["--model", "meralg1", "--replay_batch_size", "-1"], "must be from 0"),
        (["--model", "meralg1", "--replay_batch_size", "inf"], "not a finite number"),
        (["--model", "online", "--lr", "nan"], "finite"),
        (["--model", "online", "--lr", "fast"], "'fast' is not a number"),
        (["--model", "online", "--batch_size", "0"], "must be from 1"),
        (["--model", "online", "--n_hiddens", "-5"], "must be from 1"),
        (["--model", "online", "--n_layers", "-1"], "must be 0 or more"),
        (["--model", "taskinput", "--n_layers", "-1"], "must be 0 or more"),
        (["--model", "online", "--log_every", "0"], "must be from 1"),
        (["--model", "online", "--seed", "-1"], "must be from 0"),
        (["--model", "online", "--seed", "4294967296"], "to below 4294967296"),
        (["--model", "online", "--data_file", "cifar100.pt"], "CIFAR-100"),
        (["--model", "online", "--engine", "quick"], "--engine quick: one of auto, reference, fused"),
        (["--model", "online", "--engine", "fused", "--cuda", "yes"], "runs on the CPU"),
        (["--model", "online", "--colour", "red"], "unrecognized arguments"),
    ],
)
def test_wrong_values_are_refused_with_one_line(flags, message):
    with pytest.raises(UsageError) as problem:
        parse(flags)
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)


def test_replay_of_nothing_is_legal():
    assert parse(["--model", "meralg1", "--replay_batch_size", "0"]).replay_batch_size == 0


@pytest.mark.parametrize("model", MODELS)
def test_a_namespace_with_a_few_attributes_is_enough(model):
    class Arguments:
        n_memories = 3
        finetune = "yes"
        shuffle_tasks = "no"

    settings = Settings.from_namespace(Arguments(), model=model)
    assert (settings.model, settings.finetune, settings.shuffle_tasks) == (model, True, False)


def test_a_methods_own_flags_stand_beside_its_class():
    settings = parse(["--model", "derpp", "--der_alpha", "0.3"])
    assert settings.values()["der_alpha"] == 0.3
    assert settings.values()["der_beta"] == 0.5
    assert "der_alpha" not in parse(["--model", "eralg4", "--der_alpha", "0.3"]).values()
    with pytest.raises(UsageError, match=r"--der_beta -1\.0: must be 0 or more"):
        parse(["--model", "derpp", "--der_beta", "-1"])
