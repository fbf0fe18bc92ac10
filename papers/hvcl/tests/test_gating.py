"""Oracle 7, Oracle 8: where examples go, with which weight, and what comes back."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from hvcl_repro.layers import DenseMoVE, SparseDispatcher, gating
from hvcl_repro.layers.noise import Noise

LOGITS = np.array([0.5, -0.7, 1.1, 0.0], np.float32)
P = np.exp(LOGITS.astype(float))
P /= P.sum()


# --- Oracle 8: which experts, and with which weight (evaluation and the layer's gradient: test_dense.py) ---


def sampled(k, rows=20_000, seed=0, gates=gating.top_k_gates):
    logits = tf.tile(LOGITS[None], [rows, 1])
    return gates(logits, k, Noise(seed).gumbel((rows, 4), tf.float32)).numpy()


def test_one_expert_is_drawn_as_often_as_softmax_says():
    counts = (sampled(1) > 0).sum(axis=0)
    assert scipy.stats.chisquare(counts, P * counts.sum()).pvalue > 1e-3


def test_pairs_follow_plackett_and_luce():
    gates = sampled(2)
    pairs = list(itertools.combinations(range(4), 2))
    expected = [P[a] * P[b] / (1 - P[a]) + P[b] * P[a] / (1 - P[b]) for a, b in pairs]
    counts = [int(((gates[:, a] > 0) & (gates[:, b] > 0)).sum()) for a, b in pairs]
    assert scipy.stats.chisquare(counts, np.array(expected) * len(gates)).pvalue > 1e-3


@pytest.mark.parametrize("k", [1, 2, 3])
def test_rows_have_k_weights_that_sum_to_one_and_keep_the_proportions(k):
    gates = sampled(k, rows=500)
    assert np.all((gates > 0).sum(axis=1) == k)
    np.testing.assert_allclose(gates.sum(axis=1), 1, rtol=1e-6)
    for row in gates[:50]:
        chosen = row > 0
        np.testing.assert_allclose(row[chosen], P[chosen] / P[chosen].sum(), rtol=1e-5)


def test_all_is_softmax():
    np.testing.assert_allclose(gating.top_k_gates(LOGITS[None], 4, None)[0], P, rtol=1e-6)


def test_without_noise_the_most_probable_are_taken():
    gates = gating.top_k_gates(LOGITS[None], 2, None).numpy()[0]
    assert set(np.flatnonzero(gates)) == {0, 2}
    np.testing.assert_allclose(gates.sum(), 1, rtol=1e-6)
    np.testing.assert_array_equal(gating.top_k_gates(LOGITS[None], 1, None), [[0, 0, 1, 0]])


def test_the_gradient_at_k_1_is_that_of_the_exact_mixture_on_average():
    value = tf.constant([1.0, -2.0, 0.5, 3.0])
    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        exact = tf.reduce_sum(tf.nn.softmax(logits) * value)
    expected = tape.gradient(exact, logits).numpy()
    with tf.GradientTape() as tape:
        rows = tf.tile(logits[None], [40_000, 1])
        gates = gating.top_k_gates(rows, 1, Noise(3).gumbel((40_000, 4), tf.float32))
        loss = tf.reduce_mean(tf.reduce_sum(gates * value, axis=1))
    found = tape.gradient(loss, logits).numpy()
    one = value.numpy()[:, None] * (np.eye(4) - P)  # [expert drawn, logit]: the gradient of one draw
    np.testing.assert_allclose(P @ one, expected, atol=1e-6)
    error = np.sqrt((P @ one**2 - expected**2) / 40_000)
    assert np.all(np.abs(found - expected) < 4 * error)


def test_weights_stay_finite_where_probabilities_underflow():
    logits = tf.Variable([[300.0, -300.0, 0.0]])
    for k in (1, 2):
        with tf.GradientTape() as tape:
            gates = gating.top_k_gates(logits, k, tf.zeros((1, 3)))
            loss = tf.reduce_sum(gates * [[1.0, 2.0, 3.0]])
        assert np.all(np.isfinite(gates)), k
        assert np.all(np.isfinite(tape.gradient(loss, logits))), k


def test_the_original_weighs_the_second_of_two_draws_by_more_than_a_half():
    p = np.array([0.9, 0.1], np.float32)
    logits = tf.tile(np.log(p)[None], [400, 1])
    gates = gating.original_gates(logits, 2, Noise(1).gumbel((400, 2), tf.float32)).numpy()
    np.testing.assert_allclose(gates.sum(axis=1), 1, rtol=1e-5)
    # The first draw m weighs p_m against the second's certain 1: p_m / (p_m + 1) in a softmax of logs.
    assert {round(float(gate), 4) for gate in gates[:, 0]} == {round(0.9 / 1.9, 4), round(1 / 1.1, 4)}
    one = gating.original_gates(logits, 1, Noise(1).gumbel((400, 2), tf.float32)).numpy()
    assert set(one.ravel()) == {0.0, 1.0}


@pytest.mark.parametrize("k", [0, -1, True, 1.5, "some"])
def test_a_wrong_k_is_refused(k):
    with pytest.raises(ValueError, match="experts per example"):
        gating.clipped_k(k, 4)
    assert gating.clipped_k("all", 4) == gating.clipped_k(9, 4) == 4


# --- Oracle 7: the dispatcher --------------------------------------------------------------------------


def sparse_gates(rng, rows=12, n=4):
    gates = rng.uniform(0.1, 1, (rows, n)) * (rng.random((rows, n)) < 0.5)
    gates[3] = 0  # nobody's example
    gates[:, 2] = 0  # an expert without examples
    return gates.astype(np.float32)


def test_identity_experts_give_back_the_input():
    rng = np.random.default_rng(0)
    gates = rng.dirichlet(np.ones(3), 8).astype(np.float32)
    x = tf.constant(rng.normal(size=(8, 5, 2)), tf.float32)
    dispatcher = SparseDispatcher(3, gates)
    np.testing.assert_allclose(dispatcher.combine(dispatcher.dispatch(x)), x, rtol=1e-5)


def test_dispatch_equals_the_dense_sum_with_its_gradients():
    rng = np.random.default_rng(1)
    gates = tf.Variable(sparse_gates(rng))
    x = tf.Variable(rng.normal(size=(12, 5)), dtype=tf.float32)
    w = tf.Variable(rng.normal(size=(4, 5, 3)), dtype=tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        dispatcher = SparseDispatcher(4, gates)
        parts = [tf.tanh(tf.matmul(rows, w[e])) for e, rows in enumerate(dispatcher.dispatch(x))]
        sparse = dispatcher.combine(parts)
        dense = tf.einsum("be,ebo->bo", gates, tf.tanh(tf.einsum("bi,eio->ebo", x, w)))
        a, b = tf.reduce_sum(sparse**2), tf.reduce_sum(dense**2)
    np.testing.assert_allclose(sparse, dense, atol=1e-5)
    assert np.all(sparse.numpy()[3] == 0)
    for variable in (x, w):
        found = tf.convert_to_tensor(tape.gradient(a, variable))
        np.testing.assert_allclose(found, tape.gradient(b, variable), rtol=1e-5, atol=1e-5)
    # A gate of zero is no path, so only open ones have the dense gradient.
    np.testing.assert_allclose(
        tape.gradient(a, gates), tf.where(gates > 0, tape.gradient(b, gates), 0.0), rtol=1e-5, atol=1e-5
    )
    assert np.all(tf.convert_to_tensor(tape.gradient(a, w)).numpy()[2] == 0)


def test_its_lists_agree_with_the_gates():
    gates = sparse_gates(np.random.default_rng(2))
    dispatcher = SparseDispatcher(4, gates)
    sizes = dispatcher.part_sizes.numpy()
    assert sizes.sum() == (gates > 0).sum()
    assert sizes[2] == 0
    for e, (index, gate) in enumerate(
        zip(dispatcher.expert_to_batch_indices(), dispatcher.expert_to_gates(), strict=True)
    ):
        np.testing.assert_array_equal(index, np.flatnonzero(gates[:, e] > 0))
        np.testing.assert_array_equal(gate, gates[gates[:, e] > 0, e])


def test_without_gates_outputs_are_summed():
    gates = sparse_gates(np.random.default_rng(3))
    x = tf.ones((12, 2))
    dispatcher = SparseDispatcher(4, gates)
    total = dispatcher.combine(dispatcher.dispatch(x), multiply_by_gates=False)
    np.testing.assert_array_equal(total[:, 0], (gates > 0).sum(axis=1))


def test_gates_for_another_number_of_experts_are_refused():
    with pytest.raises(ValueError, match="3 experts"):
        SparseDispatcher(3, np.ones((2, 4), np.float32))


def test_at_evaluation_inputs_have_the_chosen_experts_gradient():
    """Else a policy that climbs a critic made of such layers climbs the gate instead of the value."""
    layer = DenseMoVE(2, 3, seed=0, dtype="float64")
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 4)))
    layer(x)
    layer.bias.assign(layer.bias + 50.0)  # large outputs, as values are
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x, training=False))
    found, eps = tape.gradient(total, x).numpy(), 1e-6
    for i in range(4):
        step = np.eye(4)[i] * eps
        up, down = (tf.reduce_sum(layer(x + sign * step, training=False), axis=1) for sign in (1, -1))
        np.testing.assert_allclose(found[:, i], (up - down) / (2 * eps), rtol=1e-5, atol=1e-6)
