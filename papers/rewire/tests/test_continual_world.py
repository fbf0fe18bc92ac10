"""Meta-World through our environment."""

import pytest
import torch

metaworld = pytest.importorskip("metaworld")

from clrepro.errors import UsageError  # noqa: E402
from clrepro.io.checkpoint import RunDir  # noqa: E402
from rewire_repro import config, experiment  # noqa: E402
from rewire_repro.scenarios import WIDTHS, make_scenario  # noqa: E402
from rewire_repro.scenarios.continual_world import NAMES, MetaWorld  # noqa: E402

CPU = torch.device("cpu")
# gymnasium and mujoco warn of their own settings.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


def arms(name="push-v3", rewards="v2", everywhere=False, horizon=4):
    return MetaWorld(name, 2, horizon, CPU, rewards, everywhere, 0)


@pytest.mark.parametrize("everywhere", [False, True])
def test_episodes_end_at_the_horizon_and_resume_in_the_middle(everywhere):
    one, other = arms(everywhere=everywhere), arms(everywhere=everywhere)
    first = one.reset(3)
    assert tuple(first.shape) == (2, WIDTHS["continual_world"][0])
    actions = torch.rand(6, 2, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ends = [one.step(action).truncated.tolist() for action in actions[:4]]
    assert ends == [[False, False]] * 3 + [[True, True]]
    one.step(actions[4])
    other.load(one.state())
    a, b = one.step(actions[5]), other.step(actions[5])
    assert torch.equal(a.next_obs, b.next_obs)
    assert torch.equal(a.reward, b.reward)
    one.reset(3)
    assert torch.equal(one.reset(3), first)


def test_old_names_stand_for_todays_and_unknown_ones_are_listed(composed):
    scenario = make_scenario(composed("ft_1", "scenario=continual_world/t8", "profile=quick"), CPU)
    assert scenario.sequence == ("push-wall-v1", "shelf-place-v1", "push-back-v1")
    assert "rewards v2" in scenario.backend
    with pytest.raises(UsageError, match="there are hammer-v1"):
        make_scenario(composed("ft_1", "scenario=continual_world/t8", "scenario.tasks=[juggle-v1]"), CPU)


@pytest.mark.slow
@pytest.mark.parametrize("method", config.METHODS)
def test_every_method_trains_on_a_triplet(method, tmp_path):
    words = [
        "scenario=continual_world/t6", "profile=quick", "logger=jsonl", "device=cpu", "scenario.horizon=6",
        "scenario.n_train_envs=2", "scenario.n_steps=40",
        "framework.params.algorithm.params.initial_buffer_size=8",
        "framework.params.algorithm.params.batch_size=8", "framework.params.policy_agent.hidden_size=8",
    ]  # fmt: skip
    more = {
        "packnet": ["framework.params.algorithm2.params.iterations=5"],
        "csp": [
            f"framework.params.alpha_search.params.{one}" for one in ("n_rollouts=2", "n_validation_steps=6")
        ],
    }
    node = config.compose(method, words + more.get(method, []))
    outcome = experiment.run(config.settings(node), node, RunDir(tmp_path), RunDir(tmp_path))
    assert len(outcome.series["R"]) == 3
    assert 0 <= outcome.metrics["success"] <= 1
    assert outcome.settings["backend"].startswith("metaworld/3.")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_scripted_experts_succeed_in_200_steps(name):
    from metaworld.policies import ENV_POLICY_MAP

    one, expert = arms(name + "-v3", horizon=200), ENV_POLICY_MAP[name + "-v3"]()
    obs, reached = one.reset(0), torch.zeros(2, dtype=torch.bool)
    for _ in range(199):
        acts = [torch.tensor(expert.get_action(row.double().numpy())).clamp(-1, 1) for row in obs]
        step = one.step(torch.stack(acts))
        obs, reached = step.obs, reached | step.success
    assert bool(reached.any())
    assert torch.isfinite(arms(name + "-v3", rewards="v1").reset(0)).all()
