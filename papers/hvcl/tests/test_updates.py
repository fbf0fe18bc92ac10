"""One update of the agent by hand: targets (Oracle 18), losses of critics and actor, the layers' terms."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from clrepro.seeding import Seeds
from hvcl_repro.rl.sac import SAC
from hvcl_repro.rl.settings import RLSettings

HVCL = RLSettings(hidden_u=8, batch_s=16, n_exp=2, hvcl=True, method="hvcl")
DENSE = replace(HVCL, hvcl=False, method="dense")
OWN = np.arange(8) < 2  # the environment's actions


def agent(settings, task=0, **options):
    sac = SAC(settings, Seeds(0), **options)
    sac.begin_task(task, 2)
    return sac


def batch(rows=32):
    """Returns states, actions, rewards, next states, ends and weights as tensors."""
    rng = np.random.default_rng(0)
    arrays = (
        rng.normal(size=(rows, 28)), rng.uniform(-1, 1, (rows, 8)), rng.normal(size=rows),
        rng.normal(size=(rows, 28)), rng.random(rows) < 0.3, rng.uniform(0.1, 1, rows),
    )  # fmt: skip
    return [tf.constant(array, tf.float32) for array in arrays]


def spread_out(models):
    """Make networks differ from each other by more than their targets move."""
    rng = np.random.default_rng(1)
    for model in models:
        model.set_weights([w + 0.3 * rng.normal(size=w.shape) for w in model.get_weights()])


def log_pi(u, mean, log_std):
    normal = scipy.stats.norm.logpdf(u, mean, np.exp(log_std)) - np.log1p(-(np.tanh(u) ** 2))
    return normal[:, OWN].sum(axis=1)


def drawn(sac, states, start):
    """Returns (own squashed actions, their log density): what the agent draws with this state of noise."""
    sac.noise.generator.state.assign(start)
    mean, log_std = (v.numpy().astype(float) for v in sac.actor(states))
    u = mean + np.exp(log_std) * sac.noise.normal(mean.shape, tf.float32).numpy()
    return tf.constant(np.tanh(u) * OWN, tf.float32), log_pi(u, mean, log_std)


@pytest.mark.parametrize("munchausen", [True, False])
def test_what_critics_learn_is_the_target_by_hand(munchausen):
    """Oracle 18: smaller target, entropy of the drawn action, bonus of the taken one, own actions alone."""
    sac = agent(DENSE, munchausen=munchausen)
    spread_out(sac.targets)
    s0, a, r, s1, d, _ = batch()
    start = sac.noise.generator.state.numpy()
    found = sac._target(s0, a, r, s1, d, tf.constant(0.4)).numpy()
    action, density = drawn(sac, s1, start)
    q = np.min([target(s1, action)[:, 0] for target in sac.targets], axis=0)
    taken = log_pi(np.arctanh(a.numpy().astype(float)), *(v.numpy().astype(float) for v in sac.actor(s0)))
    bonus = 0.9 * np.clip(0.03 * taken, -1, 0) if munchausen else 0.0
    expected = r + bonus + 0.99 * (1 - d) * (q - 0.4 * density)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def gradients(sac):
    """Returns a dict that will hold the gradients, by model, instead of their being applied."""
    kept = {}
    sac._apply = lambda _, model, found: kept.update({model.name: found})
    return kept


def test_loss_of_the_critics_by_hand():
    sac = agent(DENSE)
    kept = gradients(sac)
    s0, a, target, _, _, w = batch()
    target = 2.0 * target  # on both sides of Huber's corner
    qs = [critic(s0, a * OWN)[:, 0].numpy() for critic in sac.critics]
    errors, loss, terms, _ = sac._update_critics(s0, a, target, w)
    each = np.abs([target - q for q in qs])
    huber = np.where(each <= 1, each**2 / 2, each - 0.5)
    np.testing.assert_allclose(errors, each.mean(axis=0), rtol=1e-4)
    assert float(loss) == pytest.approx(np.mean(w * huber), rel=1e-4)
    assert float(terms) == 0.0
    for critic, q in zip(sac.critics, qs, strict=True):  # the last weight is the bias of the output
        slope = -np.mean(w * np.clip(target - q, -1, 1))
        assert float(kept[critic.name][-1][0]) == pytest.approx(slope, rel=1e-4)


def test_loss_of_the_actor_by_hand():
    sac = agent(DENSE)
    kept = gradients(sac)
    spread_out(sac.critics)
    s0, _, _, _, _, w = batch()
    start = sac.noise.generator.state.numpy()

    def by_hand():
        action, density = drawn(sac, s0, start)
        q = np.min([critic(s0, action)[:, 0] for critic in sac.critics], axis=0)
        return density, float(np.mean(w * (0.4 * density - q)))

    found, loss, terms, _ = sac._update_actor(s0, w, tf.constant(0.4))
    density, expected = by_hand()
    np.testing.assert_allclose(found, density, rtol=1e-4, atol=1e-4)
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert float(terms) == 0.0
    bias, step = (
        sac.actor.trunk.head.bias,
        0.01 * np.eye(16)[[0, 8]],
    )  # a mean, a log deviation
    for one in step:
        bias.assign_add(one)
        up = by_hand()[1]
        bias.assign_sub(2 * one)
        slope = (up - by_hand()[1]) / 0.02
        bias.assign_add(one)
        assert float(np.sum(kept["actor"][-1] * one) / 0.01) == pytest.approx(slope, rel=0.02, abs=1e-3)


def test_the_layers_terms_are_part_of_the_losses():
    """Oracle 22, in the agent: with a huge beta the gradient is that of the experts' KL."""
    sac = agent(replace(HVCL, e_beta=1e6, g_beta=0.0), task=1)
    kept = gradients(sac)
    models = [sac.actor, *sac.critics]
    for model in models:
        model.trunk.head.mu.assign_add(0.1 * tf.ones_like(model.trunk.head.mu))
    s0, a, target, _, _, w = batch(8)
    sac._update_critics(s0, a, target, w)
    sac._update_actor(s0, w, tf.constant(0.4))
    for model in models:
        layer = model.trunk.head
        (number,) = (i for i, v in enumerate(model.trainable_variables) if v is layer.mu)
        rows, _, n = layer.mu.shape
        expected = 1e6 * 0.1 / tf.nn.softplus(layer.rho_0) ** 2 / (rows * n)
        found = kept[model.name][number]
        np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-3)


def test_gradients_are_clipped_to_a_norm_of_one():
    sac = agent(DENSE)
    given = []
    optimizer = type("O", (), {"apply_gradients": lambda _, pairs: given.extend(g for g, _ in pairs)})()
    sac._apply(optimizer, sac.actor, [3.0 * tf.ones_like(v) for v in sac.actor.trainable_variables])
    assert float(tf.linalg.global_norm(given)) == pytest.approx(1.0, rel=1e-4)
