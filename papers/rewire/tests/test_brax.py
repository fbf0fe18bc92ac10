"""Brax through our environment: one compilation for all tasks, and what each task does."""

import numpy as np
import pytest
import torch

jax = pytest.importorskip("jax")
pytest.importorskip("brax")

from clrepro.io.checkpoint import RunDir  # noqa: E402
from rewire_repro import config, experiment  # noqa: E402
from rewire_repro.scenarios import WIDTHS  # noqa: E402
from rewire_repro.scenarios.brax import (  # noqa: E402
    BraxEnv,
    Domain,
    choose_backend,
    use_compilation_cache,
)
from rewire_repro.scenarios.physics import CHANGES, physics_of  # noqa: E402

CPU = torch.device("cpu")
N, HORIZON = 2, 5
# brax and mujoco warn of their own age and of array conversions.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


def domain_of(name, backend):
    use_compilation_cache()
    return Domain(name, backend, N, HORIZON, jax.devices("cpu")[0])


@pytest.fixture(scope="module")
def cheetah():
    return domain_of("halfcheetah", "spring")


def env(domain, task, rule="product"):
    return BraxEnv(domain, physics_of(domain.model, CHANGES[domain.name][task], rule), CPU)


def actions(domain, steps=4, seed=0):
    return torch.rand(steps, N, domain.n_actions, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def play(one, sequence, seed=3):
    """Observations that the steps led to, and rewards."""
    one.reset(seed)
    steps = [one.step(action) for action in sequence]
    return torch.stack([step.next_obs for step in steps]), torch.stack([step.reward for step in steps])


def test_all_tasks_run_on_one_compilation_and_differ(cheetah):
    sequence = actions(cheetah)
    rewards = {task: play(env(cheetah, task), sequence)[1] for task in CHANGES["halfcheetah"]}
    assert cheetah.compilations() == 1
    assert cheetah.reset._cache_size() == 1
    assert (cheetah.n_in, cheetah.n_actions) == WIDTHS["halfcheetah"]
    for task in set(rewards) - {"normal", "defective_module"}:
        assert not torch.equal(rewards[task], rewards["normal"]), task
    assert torch.equal(rewards["defective_module"], rewards["normal"])


def test_inverted_actions_are_the_normal_task_with_the_sign_changed(cheetah):
    sequence = actions(cheetah)
    for a, b in zip(
        play(env(cheetah, "inverted_actions"), sequence), play(env(cheetah, "normal"), -sequence), strict=True
    ):
        assert torch.equal(a, b)


def test_the_broken_module_shows_zeros_at_every_step(cheetah):
    one, whole = env(cheetah, "defective_module"), env(cheetah, "normal")
    broken = torch.from_numpy(one.physics["mask"].__array__()) == 0
    assert bool((one.reset(1)[:, broken] == 0).all())
    seen, complete = play(one, actions(cheetah))[0], play(whole, actions(cheetah))[0]
    assert bool((seen[..., broken] == 0).all())
    assert torch.equal(seen[..., ~broken], complete[..., ~broken])


def test_the_horizon_truncates_and_restarts_from_the_first_state(cheetah):
    one = env(cheetah, "moon")
    first = one.reset(2)
    steps = [one.step(action) for action in actions(cheetah, HORIZON + 1)]
    assert [bool(step.truncated.all()) for step in steps] == [False] * 4 + [True, False]
    assert not any(bool(step.terminated.any()) for step in steps)
    assert torch.equal(steps[4].obs, first)
    assert not torch.equal(steps[4].next_obs, first)
    assert torch.equal(steps[3].obs, steps[3].next_obs)


def test_training_may_cut_episodes_earlier_in_the_same_compiled_step(cheetah):
    one = env(cheetah, "moon")
    one.reset(2)
    one.step(actions(cheetah)[0])
    programs = cheetah.compilations()
    one.horizon = 2
    one.reset(2)
    steps = [one.step(action) for action in actions(cheetah, 4)]
    assert [bool(step.truncated.all()) for step in steps] == [False, True, False, True]
    assert cheetah.compilations() == programs


def test_writing_into_tensors_changes_nothing_in_the_simulator(cheetah):
    sequence = actions(cheetah)
    clean = play(env(cheetah, "normal"), sequence)[0]
    one = env(cheetah, "normal")
    one.reset(3).fill_(7)
    for i, action in enumerate(sequence):
        given = action.clone()
        step = one.step(given)
        assert torch.equal(step.next_obs, clean[i])
        for tensor in (given, step.obs, step.next_obs, step.reward):
            tensor.fill_(9)


def test_a_state_in_mid_episode_goes_on_as_the_straight_run(cheetah):
    sequence = actions(cheetah)
    straight = play(env(cheetah, "rainfall"), sequence)[0]
    one, other = env(cheetah, "rainfall"), env(cheetah, "rainfall")
    one.reset(3)
    one.step(sequence[0])
    one.step(sequence[1])
    other.load(one.state())
    assert torch.equal(other.step(sequence[2]).next_obs, straight[2])


def test_seeds_choose_the_start(cheetah):
    one = env(cheetah, "normal")
    assert torch.equal(one.reset(1), one.reset(1))
    assert not torch.equal(one.reset(1), one.reset(2))


def test_back_ends_are_chosen_with_reasons():
    assert choose_backend("auto", "ant", False)[0] == "generalized"
    assert choose_backend("auto", "halfcheetah", False)[0] == "spring"
    assert choose_backend("auto", "humanoid", True)[0] == "positional"
    assert choose_backend("mjx", "ant", False) == ("mjx", "asked for")


@pytest.mark.slow
def test_masses_act_on_ant_in_spring_though_the_stock_model_ignores_them():
    ant = domain_of("ant", "spring")
    sequence = actions(ant)
    normal, heavy = (play(env(ant, task), sequence)[0] for task in ("normal", "hugefoot"))
    assert not torch.equal(normal, heavy)
    numbers = physics_of(ant.model, CHANGES["ant"]["normal"], "product")
    assert np.array_equal(numbers.mass, np.ones(9, np.float32))  # effective masses of the stock model
    off = env(ant, "disabled_forefeet")
    zero = off.physics["gain"].__array__() == 0
    changed = sequence.clone()
    changed[..., torch.from_numpy(zero)] = 0.9
    for a, b in zip(play(off, sequence), play(off, changed), strict=True):
        assert torch.equal(a, b)  # neither physics nor the control cost sees a disabled joint
    assert ant.compilations() == 1


@pytest.mark.slow
def test_humanoid_compiles_once():
    humanoid = domain_of("humanoid", "spring")
    assert (humanoid.n_in, humanoid.n_actions) == WIDTHS["humanoid"]
    for task in CHANGES["humanoid"]:
        play(env(humanoid, task), actions(humanoid, 2))
    assert humanoid.compilations() == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", config.METHODS)
def test_every_method_trains_on_halfcheetah(method, tmp_path):
    words = [
        "scenario=halfcheetah/transfer", "profile=quick", "logger=jsonl", "device=cpu",
        f"scenario.horizon={HORIZON}",
        f"scenario.n_train_envs={N}", "scenario.n_steps=30", "scenario.tasks=[moon,defective_module]",
        "framework.params.algorithm.params.initial_buffer_size=8",
    ]  # fmt: skip
    more = {
        "packnet": ["framework.params.algorithm2.params.iterations=5"],
        "csp": [
            f"framework.params.alpha_search.params.{one}" for one in ("n_rollouts=2", "n_validation_steps=5")
        ],
    }
    node = config.compose(method, words + more.get(method, []))
    outcome = experiment.run(config.settings(node), node, RunDir(tmp_path), RunDir(tmp_path))
    assert len(outcome.series["R"]) == 2
    assert outcome.settings["backend"] == "brax/spring"
