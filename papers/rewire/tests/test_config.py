"""The configuration tree: every pair composes, the original's values come out, mistakes end in one line."""

import pytest
import torch

from clrepro.errors import UsageError
from rewire_repro import config, frameworks
from rewire_repro.scenarios import without_simulator

pytest.importorskip("hydra")
GRID = [name for name in config.scenarios() if not name.startswith("toy/")]


def settings(method, *overrides):
    return config.settings(config.compose(method, overrides))


def test_the_grid_is_nine_methods_by_eighteen_scenarios():
    assert len(config.METHODS) == 9
    assert len(GRID) == 18


@pytest.mark.parametrize("method", config.METHODS)
def test_every_pair_composes_and_builds_its_agents(method):
    cpu = torch.device("cpu")
    for scenario in GRID:
        made = settings(method, f"scenario={scenario}")
        assert f"{made.scenario.domain}/{made.scenario.name}" == scenario
        assert made.method == method
        assert made.profile == "full"
        framework = frameworks.make_framework(made, without_simulator(made, cpu), cpu)
        assert framework.memory_size()["inference"] > 20_000


@pytest.mark.parametrize("method", config.METHODS)
def test_the_quick_profile_goes_with_every_domain(method):
    for scenario, steps in (
        ("ant/transfer", 12_800),
        ("continual_world/cw10", 4_000),
        ("toy/robustness", 6_400),
    ):
        made = settings(method, f"scenario={scenario}", "profile=quick")
        assert made.profile == "quick"
        assert made.scenario.n_steps == steps


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("halfcheetah/forgetting", (1e-3, 3e-4, 3e-4, 1.0, 2, 2, 2.0)),
        ("ant/robustness", (1e-3, 1e-3, 3e-4, 1.0, 2, 4, 2.0)),
        ("humanoid/hard", (1e-3, 3e-4, 3e-4, 0.1, 1, 1, 2.0)),
        ("continual_world/t3", (1e-3, 1e-3, 1e-3, 1.0, 1, 1, 2.0)),
    ],
)
def test_sac_values_of_the_contract(scenario, expected):
    sac = settings("packnet", f"scenario={scenario}").sac
    found = (sac.lr_policy, sac.lr_q, sac.lr_entropy, sac.reward_scaling)
    found += (sac.policy_update_delay, sac.target_update_delay, sac.target_multiplier)
    assert found == expected


def test_packnet_fine_tunes_with_sacs_values():
    made = settings("packnet", "scenario=ant/compositionality", "framework.params.algorithm.params.lr_q=0.5")
    assert made.finetune.lr_q == 0.5
    assert made.finetune.reward_scaling == 10
    assert made.finetune.iterations == 100_000
    assert settings("packnet", "profile=quick").finetune.batch_size == 128


def test_method_values_of_the_contract():
    rewire = settings("rewire", "scenario=halfcheetah/compositionality").policy
    assert (rewire["tau"], rewire["beta"], rewire["cycle"], rewire["coeff"]) == (1.0, 0.1, 4, 10.0)
    assert settings("ewc", "scenario=ant/transfer").policy["fisher_coeff"] == 1e4
    assert settings("ft_l2", "scenario=humanoid/hard").policy["l2_coeff"] == 0.01
    assert settings("csp", "scenario=halfcheetah/transfer").policy["repeat_alpha"] == 20
    assert settings("csp").search.n_validation_steps == 1000
    assert settings("pnn").policy["hidden_size"] == 96
    assert settings("ewc").fisher_samples == 1024


def test_the_medium_profiles_choices_cost_no_more_steps_than_training():
    for scenario in ("halfcheetah/forgetting", "ant/forgetting", "continual_world/t3"):
        made = settings("rewire", f"scenario={scenario}", "profile=medium")
        played = (1 + made.policy["k"]) * made.selection_rollouts * made.scenario.n_train_envs
        assert 0 < played * made.selection_steps <= made.scenario.n_steps
        search = settings("csp", f"scenario={scenario}", "profile=medium").search
        assert search.n_rollouts * search.n_validation_steps <= made.scenario.n_steps
        assert made.evaluation.stages == "needed"


def test_repetition_and_steps():
    made = settings("ft_1").scenario
    assert len(made.sequence) == 8
    assert made.sequence[:4] == ("hugefoot", "moon", "carry_stuff", "rainfall")
    assert made.n_steps == 1_000_000
    assert settings("ft_1", "scenario=humanoid/hard").scenario.n_steps == 2_000_000
    assert len(settings("ft_1", "scenario.repeat_scenario=3").scenario.sequence) == 12


@pytest.mark.parametrize(
    ("method", "override", "said"),
    [
        ("rewier", "seed=0", "no such method; one of rewire, ft_1"),
        ("rewire", "scenario=ant/moon", "no such scenario; one of ant/compositionality"),
        ("rewire", "scenario.n_stepps=3", "n_stepps"),
        ("rewire", "scenario.n_steps=many", "scenario.n_steps='many': a whole number"),
        ("rewire", "scenario.n_steps=0", "scenario.n_steps=0: 1 or more"),
        ("rewire", "+framework.params.algorithm.params.lr_z=1", "lr_z: no such key"),
        ("rewire", "+framework.params.colour=1", "framework.params.colour: no such key"),
        ("rewire", "seed=-1", "seed=-1"),
        ("rewire", "device=tpu", "device=tpu: one of auto, cpu, cuda"),
        ("ft_1", "framework.params.algorithm.params.n_timesteps=1", "2 or more"),
        ("ft_1", "logger=mlflow", "mlflow"),
        ("ewc", "framework.params.algorithm2.params.n_samples=0", "n_samples, 1 or more"),
        ("rewire", "framework.params.evaluation.stages=some", "stages=some: one of all, needed"),
        ("rewire", "framework.params.selection_steps=-1", "selection_steps=-1: 0 or more"),
    ],
)
def test_mistakes_are_named_in_one_line(method, override, said):
    with pytest.raises(UsageError) as problem:
        settings(method, override)
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)
