"""The original's classes with its arguments: spec 3.6 and 3.8."""

import numpy as np
import pytest
import tensorflow as tf

from clrepro.errors import DataError, UsageError
from hvcl_repro.rl import originals_api
from hvcl_repro.rl.experience import ExperienceBuffer
from hvcl_repro.rl.originals_api import SAC, Agent
from hvcl_repro.rl.originals_networks import ActorNetwork, OUNoise, ReplayBuffer, SoftQNetwork
from hvcl_repro.rl.parallel import make_mp_envs


def agent(folder, task=0, **options):
    return SAC(28, 8, 0.99, 0.995, 3e-4, 8, folder, task, 10, vmoe=False, **options)


def batch(rows=16):
    rng = np.random.default_rng(0)
    buffer = ExperienceBuffer({"size": 100, "largest_obs_dim": 28, "largest_act_dim": 8, "seed": 0})
    states, after = rng.normal(size=(2, 100, 28))
    buffer.extend(states, rng.uniform(-1, 1, (100, 8)), rng.normal(size=100), after, np.zeros(100))
    return buffer.get_batch(0, rows)


def test_thirteen_answers_of_an_update(tmp_path):
    sac = agent(tmp_path)
    sac.reset_state(8, 28, 2, 1.0, None)
    sample, weights, _ = batch()
    out = sac.train(sample, 16, weights)
    assert len(out) == 13
    assert out[-1] is None
    assert out[-2].shape == (16, 1)
    assert all(np.isfinite(value) for value in out[:-2])
    assert out[8] == pytest.approx(1.0)  # alpha at the start
    q = np.minimum(*(f(sample["states0"], sample["actions"]) for f in (sac.softq_value, sac.softq_value2)))
    assert q.shape == (16, 1)
    with pytest.raises(UsageError, match="old tasks"):
        sac.train(sample, 16, weights, old_sample=sample)


def test_actions_models_and_files(tmp_path):
    sac, later = agent(tmp_path), agent(tmp_path, task=1, seed=5)
    sac.reset_state(8, 28, 2, 1.0, None)
    states = np.random.default_rng(0).normal(size=(3, 5))
    assert sac.actions(states).shape == sac.step(states).shape == (3, 8)
    assert sac.action(states[0]).shape == (2,)
    np.testing.assert_array_equal(sac.step(states), sac.step(states))
    assert np.any(later.step(states) != sac.step(states))
    later.copy_weights(sac.get_models())
    np.testing.assert_array_equal(later.step(states), sac.step(states))
    other = agent(tmp_path, seed=9)
    other.load(sac.save())
    np.testing.assert_array_equal(other.step(states), sac.step(states))
    with pytest.raises(DataError, match="nowhere"):
        other.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="largest_obs_dim 29"):
        SAC(29, 8, 0.99, 0.995, 3e-4, 8, tmp_path, 0, 10)


def test_what_is_held_after_copying_is_what_was_learned(tmp_path):
    old = SAC(28, 8, 0.99, 0.995, 3e-4, 4, tmp_path, 0, 10, n_experts=2)
    new = SAC(28, 8, 0.99, 0.995, 3e-4, 4, tmp_path, 1, 10, n_experts=2, exp_beta=0.7, gate_beta=0.2, seed=5)
    new.copy_weights(old.get_models())
    layer, source = (sac.get_models()[0].trunk.head for sac in (new, old))
    np.testing.assert_array_equal(layer.mu_0, source.mu)
    assert float(layer.kl_weights) == pytest.approx(0.7)
    assert float(layer.gating_kl_weight) == pytest.approx(0.2)


def test_the_loop_of_one_task(tmp_path, monkeypatch):
    monkeypatch.setattr(originals_api, "EVERY", 200)
    monkeypatch.setattr(originals_api, "UPDATES", 2)
    sac = agent(tmp_path)
    buffer = ExperienceBuffer(
        {"size": 1000, "batch_size": 16, "total_steps": 600, "learn_start": 100, "largest_obs_dim": 28,
         "largest_act_dim": 8, "seed": 0}
    )  # fmt: skip
    loop = Agent(sac, buffer, 100, 16, 600, 8, 28, False, 0, 200)
    with pytest.raises(UsageError, match="before"):
        loop.train()
    with (
        make_mp_envs("PointLeft-v0", 2, num_workers=0) as envs,
        make_mp_envs("PointLeft-v0", 3, num_workers=0, start_idx=100) as examination,
    ):
        loop.reset_state(envs, 2, [examination])
        curves, nothing = loop.train()
        assert nothing is None
        assert [len(curve) for curve in curves] == [3]
        assert buffer.n_entries == 600
        (value,) = loop.test(sac.save())
        assert -500 < value < 50
        with pytest.raises(UsageError, match="old tasks"):
            loop.reset_state(envs, 2, [], buffer)


def test_networks_with_the_originals_arguments():
    actor = ActorNetwork(8, 3, 1e-6, 0.5, 0.25, 28, n_experts=2)
    states = tf.random.Generator.from_seed(0).normal((4, 28))
    action, log_pi, mean, std = actor(states)
    assert action.shape == mean.shape == std.shape == (4, 8)
    assert log_pi.shape == (4, 1)
    assert float(actor.trunk.head.kl_weights) == 0.5
    assert float(actor.loss_call(states)[-1]) != 0.0
    critic = SoftQNetwork(8, 0.5, 0.25, 36, n_experts=2)
    assert critic(states, action).shape == (4, 1)
    assert critic.loss_call(states, action)[0].shape == (4, 1)
    with pytest.raises(ValueError, match="inputdim 30"):
        SoftQNetwork(8, 0.5, 0.25, 30)
    with pytest.raises(ValueError, match="8 at most"):
        ActorNetwork(8, 9, 1e-6, 0.5, 0.25, 28)


def test_plain_replay_and_noise():
    replay = ReplayBuffer(3)
    for i in range(5):
        replay.store([i], [0.0], i, [i + 1], False)
    states, *_, done = replay.fetch_sample(10)
    assert len(replay) == 3
    assert sorted(states[:, 0]) == [2, 3, 4]
    assert done.shape == (3,)
    noise = OUNoise(2, mu=1.0)
    values = np.stack([noise.sample() for _ in range(4000)])
    np.testing.assert_allclose(values.mean(axis=0), 1.0, atol=0.15)
    # Stationary variance of an AR(1) process with coefficient 1 - theta.
    np.testing.assert_allclose(values.var(axis=0), 0.04 / (1 - 0.85**2), rtol=0.3)
