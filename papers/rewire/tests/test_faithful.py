"""`paper_faithful=True`: the original's noisy targets, and the course of its PackNet's fine-tuning."""

import dataclasses

import numpy as np
import pytest
import torch

from rewire_repro.finetuning import FineTuning
from rewire_repro.networks import TwinCritics
from rewire_repro.replay import Replay
from rewire_repro.softsort import gumbel

CPU = torch.device("cpu")


@pytest.mark.parametrize("faithful", [False, True])
def test_targets_take_the_gumbel_noise_only_as_the_original_does(agent, obs, faithful, monkeypatch):
    monkeypatch.setattr("rewire_repro.agents.rewire.gumbel", lambda n, rng: 100 * gumbel(n, rng))
    policy = agent("RewireActionAgent", faithful=faithful, beta=0.1, k=1)
    policy.set_task(None)
    hard = policy.mode_actor(0)(obs)
    assert torch.allclose(policy.look_ahead(obs, None)[:, :3], hard, atol=1e-6) is not faithful
    assert torch.allclose(policy.explore(obs, None)[:, :3], hard, atol=1e-6)  # acting is hard in either


@pytest.mark.parametrize("faithful", [False, True])
def test_a_faithful_fine_tuning_restarts_the_temperature_and_moves_targets_with_the_policy(
    agent, composed, faithful
):
    values = dataclasses.replace(
        composed("packnet", "scenario=toy/forgetting", "profile=quick").finetune,
        batch_size=8, init_temperature=0.7, policy_update_delay=3, target_update_delay=2, iterations=12,
    )  # fmt: skip
    policy = agent("PacknetActionAgent", n_in=4, n_actions=2, faithful=faithful)
    policy.set_task(None)
    policy.prune()
    critic = TwinCritics(6, 8, policy.rngs.generator("init"))
    replay = Replay(20, 4, 2, 0, CPU)
    rng = torch.Generator().manual_seed(0)
    rows = [torch.randn(20, n, generator=rng) for n in (4, 2, 4)]
    replay.push(rows[0], rows[1], None, rows[2], torch.ones(20), torch.zeros(20))
    tuning = FineTuning(policy, critic, values, policy.rngs, faithful, torch.tensor([np.log(0.01)]))
    assert float(tuning.sac.log_alpha.detach().exp()) == pytest.approx(0.7 if faithful else 0.01)
    goal, moved = tuning.sac.target_flat.clone(), []
    numbers = policy.rngs.numpy("replay")
    for _ in range(values.iterations):
        tuning.sac.update(replay.sample(8, numbers))
        moved.append(not torch.equal(goal, tuning.sac.target_flat))
        goal = tuning.sac.target_flat.clone()
    due = [n % 2 == 0 and (n % 3 == 0 or not faithful) for n in range(1, 13)]
    assert moved == due
