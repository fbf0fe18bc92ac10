"""The TensorFlow methods against closed forms, loops, torch, and their laws; skipped without TensorFlow."""

# ruff: noqa: E402  (what needs TensorFlow is imported after the look whether it is there)

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

from clrepro.adapters import tf as adapter

adapter.configure()

import tensorflow as tf

from clrepro.adapters.tf import project
from clrepro.buffers import Reservoir
from clrepro.learner import Learner
from clrepro.streams import permuted, split_classes
from tag_repro.task_stream import TaskStream
from tag_repro.tensorflow.methods import METHODS
from tag_repro.tensorflow.methods.ewc import normalised, penalty_gradients
from tag_repro.tensorflow.networks import MLP, Dropout
from tag_repro.tensorflow.settings import FC_DEFAULTS
from tag_repro.tensorflow.train import make_learner

INPUTS, PLAIN = 16, replace(FC_DEFAULTS, batch_size=8, learning_rate=0.1, decay=1.0, eps_mem_batch=6)


def toy(*, multi_head, n=48, tasks=3, per_task=2):
    """Tasks of two classes with outputs of their own, or the same two classes in permuted pixels."""
    rng = np.random.default_rng(0)
    y = np.arange(n * tasks) % (per_task * tasks if multi_head else per_task)
    x = (rng.integers(0, 120, (len(y), INPUTS)) + 8 * y[:, None]).astype(np.uint8)
    data = (x, y, x[:40], y[:40])
    if multi_head:
        return TaskStream("toy", split_classes(data, per_task, labels="within_task"), per_task, True, {})
    return TaskStream("toy", permuted(data, tasks, rng, first_identity=True), per_task, False, {})


def method(name, settings=PLAIN, *, multi_head=False, dropout=0.0, seed=0):
    found = toy(multi_head=multi_head)
    drop = Dropout(dropout, adapter.generator(seed))
    network = MLP(INPUTS, 12, found.n_outputs, drop, np.random.default_rng(seed))
    settings = replace(settings, imp_method=name)
    made = make_learner(settings, network, found, np.random.default_rng(seed + 1))
    made.optimizer.set_rate(settings.learning_rate)
    return made


def batches(made, task, size=8):
    found = made.task_stream
    x, y = found.stream[task].x_train, found.numbered(task, found.stream[task].y_train)
    return [(x[start : start + size], y[start : start + size]) for start in range(0, len(y), size)]


def step(made, x, y, task):
    (loss,) = made.observe(x[None], y[None], task)
    return float(loss)


def learn(made, tasks=3):
    for task in range(tasks):
        for x, y in batches(made, task):
            assert np.isfinite(step(made, x, y, task))
        made.end_task(task)
    return made


def flat(arrays):
    return np.concatenate([np.asarray(a).ravel() for a in arrays])


# --- A-GEM -----------------------------------------------------------------------------------------------


def pairs(n=40, size=7):
    rng = np.random.default_rng(3)
    for _ in range(n):
        yield rng.normal(size=size).astype(np.float32), rng.normal(size=size).astype(np.float32)


def projected(g, r):
    parts = project([tf.constant(g[:3]), tf.constant(g[3:])], [tf.constant(r[:3]), tf.constant(r[3:])])
    return flat(parts)


def test_a_projection_has_no_part_against_the_reference():
    turned = 0
    for g, r in pairs():
        out = projected(g, r)
        assert out @ r >= -1e-6 * np.linalg.norm(out) * np.linalg.norm(r)
        assert np.linalg.norm(out) <= np.linalg.norm(g) * (1 + 1e-6)
        np.testing.assert_allclose(projected(out, r), out, atol=1e-6)
        if g @ r >= 0:
            assert (out == g).all()
        turned += g @ r < 0
    assert 5 < turned < 35


def test_a_projection_is_the_nearest_point():
    for g, r in ((g.astype(float), r.astype(float)) for g, r in pairs(10, 5)):
        bound = optimize.LinearConstraint(r, 0, np.inf)
        best = optimize.minimize(
            lambda x, g=g: ((x - g) ** 2).sum(), r, constraints=bound,
            method="SLSQP", options={"ftol": 1e-12},
        )  # fmt: skip
        np.testing.assert_allclose(projected(g, r), best.x, atol=1e-4)


def test_no_reference_changes_nothing():
    g = np.array([1, -2, 3, 4], np.float32)
    assert (projected(g, np.zeros(4, np.float32)) == g).all()


def test_both_frameworks_project_alike():
    torch = pytest.importorskip("torch")
    from clrepro.adapters.agem import project as other

    for g, r in pairs(40, 50):
        theirs = other(torch.from_numpy(g), torch.from_numpy(r)).numpy()
        np.testing.assert_allclose(projected(g, r), theirs, atol=1e-6)


def test_the_reference_comes_from_earlier_tasks_alone():
    made = method("A-GEM", replace(PLAIN, mem_size=2))
    for x, y in batches(made, 0):
        step(made, x, y, 0)
    assert len(made.slots_before(0)) == 0
    assert made.slots_before(1).tolist() == [0, 1, 2, 3]  # two of each of two classes
    last = {label: batches(made, 0)[-1][0][batches(made, 0)[-1][1] == label][-2:] for label in (0, 1)}
    x, y = made.memory.read(made.slots_before(1)).values()
    assert y.tolist() == [0, 0, 1, 1]
    for label, images in last.items():
        assert {row.tobytes() for row in x[y == label]} == {row.tobytes() for row in images}
    made.end_task(0)
    step(made, *batches(made, 1)[0], 1)
    assert made.slots_before(1).tolist() == [0, 1, 2, 3]
    assert len(made.slots_before(2)) == 8


# --- EWC -------------------------------------------------------------------------------------------------


def test_the_pull_is_the_gradient_of_the_penalty():
    rng = np.random.default_rng(0)
    w, a, f = ([tf.Variable(rng.random((3, 2)))] for _ in range(3))
    with tf.GradientTape() as tape:
        penalty = 7.0 * tf.reduce_sum(f[0] * (w[0] - a[0]) ** 2)
    np.testing.assert_allclose(penalty_gradients(w, a, f, 7.0)[0], tape.gradient(penalty, w[0]))


@pytest.mark.parametrize("strength", [0.0, 0.3, 1e6])
def test_a_linear_model_ends_where_the_closed_form_says(strength):
    """min 1/2 |Xw - y|^2 / N + lambda sum F (w - w*)^2, F the diagonal of X^T X / N of the old task."""
    rng = np.random.default_rng(1)
    x, y, old = rng.normal(size=(30, 3)), rng.normal(size=30), rng.normal(size=(30, 3))
    anchor, f = rng.normal(size=3), np.diag(old.T @ old) / 30
    h = x.T @ x / 30 + 2 * strength * np.diag(f)
    expected = np.linalg.solve(h, x.T @ y / 30 + 2 * strength * f * anchor)
    w, rate = np.zeros(3), 1 / np.linalg.eigvalsh(h).max()
    for _ in range(3000):
        pull = penalty_gradients([tf.constant(w)], [tf.constant(anchor)], [tf.constant(f)], strength)[0]
        w = w - rate * (x.T @ (x @ w - y) / 30 + pull.numpy())
    np.testing.assert_allclose(w, expected, atol=1e-6)
    if strength == 1e6:
        np.testing.assert_allclose(w, anchor, atol=1e-4)


def test_the_running_fisher_by_a_loop():
    settings = replace(PLAIN, fisher_update_after=4, fisher_ema_decay=0.7, synap_stgth=2.0)
    made, expected = method("EWC", settings), 0.0
    for task in range(2):
        total = 0.0
        for number, (x, y) in enumerate(batches(made, task, 9), 1):  # 16 steps and more: the rest is dropped
            total = total + flat(made.gradients(x, y)[1]) ** 2
            step(made, x, y, task)
            if number % 4 == 0:
                expected, total = 0.3 * expected + 0.7 / 4 * total, 0.0
        made.end_task(task)
        np.testing.assert_allclose(flat(made.running), expected, rtol=2e-4, atol=1e-9)
        fisher = flat(made.fisher)
        assert (fisher.min(), fisher.max()) == (0.0, 1.0)
        low, high = expected.min(), expected.max()
        np.testing.assert_allclose(fisher, (expected - low) / (high - low), rtol=1e-3, atol=1e-6)
        assert (flat(made.anchor) == flat(made.network.weights)).all()


def test_a_task_shorter_than_an_update_counts_all_the_same():
    made = method("EWC", replace(PLAIN, fisher_update_after=1000))
    learn(made, 1)
    assert flat(made.running).max() > 0


def test_no_information_at_all_pulls_nowhere():
    assert (flat(normalised([tf.zeros(3), tf.zeros((2, 2))])) == 0).all()


def test_without_strength_ewc_is_naive():
    naive = learn(method("VAN"))
    weak = learn(method("EWC", replace(PLAIN, synap_stgth=0.0)))
    assert (flat(naive.network.weights) == flat(weak.network.weights)).all()
    strong = learn(method("EWC", replace(PLAIN, synap_stgth=1.0)))
    assert (flat(naive.network.weights) != flat(strong.network.weights)).any()


def test_no_information_about_the_heads_of_other_tasks():
    made = learn(method("EWC", replace(PLAIN, fisher_update_after=2), multi_head=True), 1)
    head = made.running[-2].numpy()  # (12, 6): outputs 0 and 1 are the first task's
    assert head[:, :2].max() > 0
    assert (head[:, 2:] == 0).all()


# --- ER --------------------------------------------------------------------------------------------------


def test_every_example_is_remembered_as_often():
    """2,000 examples into 100 slots, 2,000 times: each with probability 1/20."""
    kept, repetitions = np.zeros(2000), 2000
    for repetition in range(repetitions):
        policy = Reservoir(100, np.random.default_rng(repetition))
        slots = np.concatenate([policy.add(50) for _ in range(40)])
        held = np.full(100, -1)
        held[slots[slots >= 0]] = np.flatnonzero(slots >= 0)
        kept[held] += 1
    sigma = (0.05 * 0.95 / repetitions) ** 0.5
    assert (np.abs(kept / repetitions - 0.05) < 4.5 * sigma).all()  # of 2,000 items
    assert abs(kept[100] / repetitions - 0.05) < 4 * sigma  # the first one after filling


def test_replay_is_the_mean_over_memory_and_batch_together():
    made, naive = method("ER"), method("VAN")
    (x0, y0), (x1, y1) = batches(made, 0)[:2]
    step(made, x0[:3], y0[:3], 0)
    step(naive, x0[:3], y0[:3], 0)
    assert made.policy.size == 3
    together = step(made, x1, y1, 0)
    order = method("ER").rng.choice(3, 3, replace=False)
    alone = step(naive, np.concatenate([x0[:3][order], x1]), np.concatenate([y0[:3][order], y1]), 0)
    assert together == pytest.approx(alone, rel=1e-6)
    np.testing.assert_allclose(flat(made.network.weights), flat(naive.network.weights), atol=1e-6)


def test_memories_keep_images_with_their_labels_within_capacity():
    for multi_head in (False, True):
        made = learn(method("ER", replace(PLAIN, mem_size=3), multi_head=multi_head))
        assert made.policy.size == made.policy.capacity == 3 * 3 * 2
        x, y = made.memory.read(np.arange(made.policy.size)).values()
        known = {
            (row.tobytes(), int(label))
            for task in range(3) for images, labels in batches(made, task)
            for row, label in zip(images, labels, strict=True)
        }  # fmt: skip
        assert {(row.tobytes(), int(label)) for row, label in zip(x, y, strict=True)} <= known


# --- what all share --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(METHODS))
def test_many_steps_in_one_call_are_the_steps_one_by_one(name):
    settings = replace(PLAIN, fisher_update_after=4, mem_size=2)
    slow = learn(method(name, settings, dropout=0.25), 2)
    fast = method(name, settings, dropout=0.25)
    for task in range(2):
        xs, ys = (np.stack(parts) for parts in zip(*batches(fast, task), strict=True))
        assert len(fast.observe(xs[:5], ys[:5], task)) == 5
        fast.observe(xs[5:], ys[5:], task)
        fast.end_task(task)
    assert (flat(slow.variables()) == flat(fast.variables())).all()
    if name in ("A-GEM", "ER"):
        both = zip(slow.memory.state().values(), fast.memory.state().values(), strict=True)
        assert all((one == two).all() for one, two in both)


def test_compiled_steps_are_traced_once_whatever_the_task_and_the_size():
    for name in METHODS:
        for multi_head in (False, True):
            made = learn(method(name, replace(PLAIN, fisher_update_after=4), multi_head=multi_head))
            step(made, *(part[:3] for part in batches(made, 2)[0]), 2)
            counts = {key: loop.experimental_get_tracing_count() for key, loop in made.compiled.items()}
            assert set(counts.values()) <= {0, 1}, (name, counts)  # 0: of a step the method does not take
            assert sum(counts.values()) >= 1


def test_units_are_dropped_in_training_but_not_in_the_reference():
    for settings, moves in ((PLAIN, False), (replace(PLAIN, ref_dropout=True), True)):
        made = method("A-GEM", settings, dropout=0.5)
        source = made.network.dropout.generator
        x, y = (tf.constant(part) for part in batches(made, 0)[0])
        before = adapter.generator_state(source)
        first, again = (flat(made.reference_gradients(x, y)) for _ in range(2))
        assert (first == again).all() == (not moves)
        assert (adapter.generator_state(source) == before).all() == (not moves)
        made.gradients(x, y)
        assert (adapter.generator_state(source) != before).any()


@pytest.mark.parametrize("multi_head", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_a_learner_of_single_batches_too(name, multi_head):
    made, twin = (method(name, multi_head=multi_head) for _ in range(2))
    assert isinstance(made, Learner)
    for task in range(2):
        for x, y in batches(made, task):
            assert made.observe(x, y, task).tolist() == twin.observe(x[None], y[None], task).tolist()
        made.end_task(task)
        twin.end_task(task)
    x = made.task_stream.stream[1].x_test
    every = made.network(x, training=False, dropping=False).numpy()
    np.testing.assert_allclose(made.predict(x, 1), every[:, 2:4] if multi_head else every, atol=1e-6)
