"""Oracle 17, Oracle 18, Oracle 19, Oracle 21: densities, targets, temperature, padding."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

from clrepro.seeding import Seeds
from hvcl_repro.rl import losses
from hvcl_repro.rl.networks import matched_width
from hvcl_repro.rl.rewards import RewardScale
from hvcl_repro.rl.sac import SAC
from hvcl_repro.rl.settings import RLSettings

SMALL = RLSettings(hidden_u=8, batch_s=16, n_exp=2, hvcl=True, method="hvcl")
ONE = tf.ones(1)


# --- Oracle 17: the density of squashed actions --------------------------------------------------------


def density(a, mean, log_std):
    rows = [tf.constant([[value]], tf.float64) for value in (np.arctanh(a), mean, log_std)]
    return math.exp(float(losses.log_prob(*rows, tf.ones(1, tf.float64))[0]))


def test_density_integrates_to_one():
    for mean, log_std in ((0.0, 0.0), (0.7, -1.0), (-1.5, 0.3)):
        total, _ = scipy.integrate.quad(
            lambda a, m=mean, s=log_std: density(a, m, s), -1 + 1e-9, 1 - 1e-9, limit=200
        )
        assert total == pytest.approx(1, abs=1e-3)


def test_density_against_a_numeric_change_of_variables():
    for u, mean, log_std in ((0.3, 0.0, 0.0), (-1.2, 0.7, -1.0), (2.5, 1.5, 0.4)):
        slope = (math.tanh(u + 1e-5) - math.tanh(u - 1e-5)) / 2e-5
        expected = scipy.stats.norm.pdf(u, mean, math.exp(log_std)) / slope
        assert density(math.tanh(u), mean, log_std) == pytest.approx(expected, rel=1e-6)


def test_density_against_tfp():
    from tensorflow_probability import bijectors, distributions

    rng = np.random.default_rng(0)
    u, mean, log_std = (tf.constant(rng.normal(size=(6, 3))) for _ in range(3))
    theirs = distributions.TransformedDistribution(
        distributions.Normal(mean, tf.exp(log_std)), bijectors.Tanh()
    )
    expected = tf.reduce_sum(theirs.log_prob(tf.tanh(u)), axis=-1)
    np.testing.assert_allclose(losses.log_prob(u, mean, log_std, tf.ones(3, tf.float64)), expected, rtol=1e-6)


def test_density_is_stable_far_out_and_blind_to_padding():
    u = tf.constant([[20.0, -20.0, 0.3]])
    zero = tf.zeros_like(u)
    assert np.all(np.isfinite(losses.log_prob(u, zero, zero, tf.ones(3))))
    for far in (20.0, -20.0):
        expected = 2 * (math.log(2) - 20)
        assert float(losses.squash_log_det(tf.constant(far))) == pytest.approx(expected, rel=1e-5)
    mask = tf.constant([1.0, 0.0, 0.0])
    a = losses.log_prob(u, zero, zero, mask)
    b = losses.log_prob(u + tf.constant([0.0, 5.0, -2.0]), zero + tf.constant([0.0, 1.0, 1.0]), zero, mask)
    np.testing.assert_array_equal(a, b)


# --- Oracle 18: targets (the agent's: test_updates.py; which rows are ends: test_rl.py) -----------------


def test_target_by_hand():
    r, d = tf.constant([1.0, 2.0, 3.0]), tf.constant([0.0, 1.0, 0.0])  # ordinary, ended, cut off (not ended)
    y = losses.td_target(
        r, d, 0.9, tf.constant([10.0, 10.0, 20.0]), tf.constant(0.5), tf.constant([2.0, 2.0, -2.0])
    )
    np.testing.assert_allclose(y, [1 + 0.9 * 9, 2.0, 3 + 0.9 * 21], rtol=1e-6)


def test_munchausen_bonus_lies_in_its_range():
    bonus = losses.munchausen(tf.constant([-1e6, -10.0, 0.0, 5.0]))
    np.testing.assert_allclose(bonus, [-0.9, 0.9 * -0.3, 0.0, 0.0], rtol=1e-6)


# --- Oracle 19: temperature and Huber's loss -----------------------------------------------------------


def test_huber_against_numpy():
    e = np.linspace(-3, 3, 41).astype(np.float32)
    expected = np.where(abs(e) <= 1, e**2 / 2, abs(e) - 0.5)
    np.testing.assert_allclose(losses.huber(tf.constant(e)), expected, rtol=1e-6)


def test_temperature_rises_while_entropy_is_too_low():
    alpha = tf.Variable(1.0)
    for log_pi, sign in ((5.0, -1), (-5.0, 1)):  # entropy is -log pi; the target is -1
        with tf.GradientTape() as tape:
            loss = losses.alpha_loss(alpha, tf.constant([log_pi]), tf.constant(-1.0))
        assert np.sign(tape.gradient(loss, alpha)) == sign


def uncompiled(settings, seed=0):
    """A second agent whose few updates are not worth compiling."""
    sac = SAC(settings, Seeds(seed))
    sac._block = lambda *rows: sac.run_block(*(tf.constant(row) for row in rows))
    return sac


@pytest.fixture(scope="module")
def agent():
    sac = SAC(SMALL, Seeds(0))
    sac.begin_task(0, 2)
    return sac


def batch(rows=32, seed=0):
    rng = np.random.default_rng(seed)
    state = {f"states{i}": rng.normal(size=(rows, 28)).astype(np.float32) for i in (0, 1)}
    return {
        **state,
        "actions": rng.uniform(-1, 1, (rows, 8)),
        "rewards": rng.normal(size=rows),
        "terminals1": np.zeros(rows),
    }


def test_targets_start_at_the_critics_and_follow(agent):
    """Oracle 18."""
    for target, critic in zip(agent.targets, agent.critics, strict=True):
        for t, c in zip(target.weights, critic.weights, strict=True):
            np.testing.assert_array_equal(t, c)
    before = [w.numpy() for w in agent.targets[0].trainable_weights]
    report, errors = agent.train(batch(), np.ones(32), 1)
    assert errors.shape == (32,)
    assert all(math.isfinite(value) for value in report.values())
    after, critic = (model.trainable_weights for model in (agent.targets[0], agent.critics[0]))
    for old, new, online in zip(before, after, critic, strict=True):
        np.testing.assert_allclose(new, 0.995 * old + 0.005 * online.numpy(), rtol=1e-5, atol=1e-8)
    assert max(np.abs(o - w).max() for o, w in zip(before, critic, strict=True)) > 1e-4  # so it could be seen


def test_padded_actions_change_nothing(agent):
    """Oracle 17."""
    a, b = batch(), batch()
    b["actions"] = b["actions"].copy()
    b["actions"][:, 2:] = 9.0
    a["actions"] = a["actions"].copy()
    start = agent.state()
    first = agent.train(a, np.ones(32), 1)[1]
    agent.load(start)
    # atanh of the padding differs but the mask takes it out of every density.
    np.testing.assert_array_equal(first, agent.train(b, np.ones(32), 1)[1])


def test_padded_observations_change_nothing(agent):
    """Oracle 21: whatever the rows of the padding are, where the input enters and where it is joined."""
    rng = np.random.default_rng(0)
    states, actions = np.zeros((4, 28), np.float32), rng.uniform(-1, 1, (4, 8)).astype(np.float32)
    states[:, :3] = rng.normal(size=(4, 3))
    q = agent.critics[0](states, actions).numpy()
    before = agent.act(states, explore=False)
    for model, padded in ((agent.actor, 28), (agent.critics[0], 36)):
        for layer in [*model.trunk.hidden, model.trunk.head]:
            changed, first = layer.mu.numpy(), layer.mu.shape[0] - padded
            changed[first + 3 : first + 28] += 1.0
            layer.mu.assign(changed)
    np.testing.assert_array_equal(agent.act(states, explore=False), before)
    np.testing.assert_array_equal(agent.critics[0](states, actions), q)
    states[:, 3] = 1.0
    assert np.any(agent.critics[0](states, actions).numpy() != q)  # so they were rows that count


def test_state_round_trip(agent):
    other = uncompiled(SMALL, seed=5)
    other.begin_task(0, 2)
    first = uncompiled(SMALL)
    first.begin_task(0, 2)
    first.load(agent.state())
    other.load(first.state())
    a, b = (sac.train(batch(seed=3), np.ones(32), 1) for sac in (first, other))
    assert a[0] == b[0]
    np.testing.assert_array_equal(a[1], b[1])


def test_compiled_updates_are_those_of_plain_tensorflow(agent):
    plain = uncompiled(SMALL)
    plain.begin_task(0, 2)
    agent.set_actions(2)
    plain.load(agent.state())
    (report, errors), (expected, by_hand) = (
        sac.train(batch(seed=3), np.ones(32), 2) for sac in (agent, plain)
    )
    np.testing.assert_allclose(errors, by_hand, rtol=1e-4, atol=1e-5)
    assert report == pytest.approx(expected, rel=1e-4)


def test_what_a_new_task_keeps_and_what_not():
    sac = uncompiled(SMALL)
    sac.begin_task(0, 1)
    layer = sac.actor.trunk.head
    assert float(layer.kl_weights) == pytest.approx(1e-5)
    sac.train(batch(), np.ones(32), 2)
    learned = layer.mu.numpy()
    sac.begin_task(1, 3)
    np.testing.assert_array_equal(layer.mu, learned)
    np.testing.assert_array_equal(layer.mu_0, learned)
    assert float(layer.kl_weights) == 1.0
    assert float(sac.log_alpha) == 0.0
    assert float(sac._entropy) == -3.0
    assert [float(c.trunk.head.kl_weights) for c in sac.critics] == [1.0, 1.0]
    original = SAC(replace(SMALL, compat="original"), Seeds(0))
    original.begin_task(1, 3)
    assert float(original._entropy) == -8.0
    assert [float(c.trunk.head.kl_weights) for c in original.critics] == [1.0, 0.0]


def test_the_plain_actor_has_as_many_weights():
    dense = SAC(replace(SMALL, hvcl=False, method="dense"), Seeds(0))
    move = SAC(SMALL, Seeds(0))
    plain = sum(int(tf.size(w)) for w in dense.actor.trainable_weights)
    means = sum(
        int(tf.size(x))
        for layer in [*move.actor.trunk.hidden, move.actor.trunk.head]
        for x in (layer.mu, layer.bias)
    )
    assert plain == pytest.approx(means, rel=0.05)
    assert matched_width(16, 1) == 16


def layers_of(sac):
    models = (sac.actor, *sac.critics, *sac.targets)
    return [layer for m in models for layer in (*m.trunk.hidden, m.trunk.head)]


def test_one_expert_without_noise_is_the_plain_agent():
    settings = replace(SMALL, n_exp=1)
    plain, move = uncompiled(replace(settings, hvcl=False, method="dense")), uncompiled(settings)
    for sac in (plain, move):
        sac.begin_task(0, 2)
    for dense, layer in zip(layers_of(plain), layers_of(move), strict=True):
        layer.mu.assign(dense.kernel[..., None])
        layer.rho.assign(tf.fill(layer.rho.shape, -30.0))
        layer.kl_weights.assign(0.0)
    for seed in range(2):
        (report, errors), (mine, by_move) = (
            sac.train(batch(seed=seed), np.ones(32), 2) for sac in (plain, move)
        )
        np.testing.assert_allclose(by_move, errors, rtol=1e-4, atol=1e-5)
        assert mine == pytest.approx(report, rel=1e-4, abs=1e-5)
    for dense, layer in zip(layers_of(plain), layers_of(move), strict=True):
        np.testing.assert_allclose(layer.mu[..., 0], dense.kernel, atol=1e-5)
        np.testing.assert_allclose(layer.bias[:, 0], dense.bias, atol=1e-5)


def test_reward_scale_is_the_deviation_of_discounted_returns():
    rng = np.random.default_rng(0)
    scale, returns, every = RewardScale(3, 0.9), np.zeros(3), []
    for _ in range(50):
        reward, done = rng.normal(2, 3, 3), rng.random(3) < 0.1
        scale.see(reward, done)
        returns = returns * 0.9 + reward
        every.append(returns.copy())
        returns[done] = 0
    np.testing.assert_allclose(scale.scaled(np.array([5.0])), 5.0 / np.std(every), rtol=1e-5)
    np.testing.assert_array_equal(scale.scaled(np.array([1e9, -1e9])), [1e4, -1e4])
    np.testing.assert_array_equal(RewardScale(3, 0.9).scaled(np.array([5.0])), 5.0)
