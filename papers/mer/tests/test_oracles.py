"""Oracles of the ten learners (contract section 8): reductions to known methods, closed forms, laws of
chance.
"""

import numpy as np
import pytest
import torch

from clrepro.learner import Learner
from mer_repro import bench, gem_gradients, gem_packed
from mer_repro.engine import theta_to_numpy
from mer_repro.learner import make_method
from mer_repro.methods import METHODS, gem
from mer_repro.qp import nonnegative_dual
from mer_repro.rngs import Rngs
from mer_repro.settings import Settings

N_TASKS, N_INPUTS, N_CLASSES = 3, 12, 4
ENGINES = ["fused", "reference"]
FLAGS = {
    "online": {},
    "independent": {"n_hiddens": 9},
    "taskinput": {"n_layers": 1},
    "ewc": {"n_memories": 4, "memory_strength": 3.0},
    "gem": {"n_memories": 4, "memory_strength": 0.1},
    "eralg4": {"memories": 10, "replay_batch_size": 4},
    "eralg5": {"memories": 10, "replay_batch_size": 4},
    "meralg1": {"memories": 10, "replay_batch_size": 4, "beta": 0.3, "gamma": 0.7, "batches_per_example": 3},
    "meralg6": {"memories": 10, "replay_batch_size": 4, "gamma": 0.3, "batches_per_example": 2},
    "meralg7": {"memories": 10, "replay_batch_size": 4, "gamma": 0.3, "s": 4.0},
    "derpp": {"memories": 10, "replay_batch_size": 4},
}


def examples(seed=0, n=20):
    """(x (n, inputs), task, y (n,)) for three tasks; about half the inputs are zero."""
    rng = np.random.default_rng(seed)
    for t in range(N_TASKS):
        x = (rng.random((n, N_INPUTS)) * (rng.random((n, N_INPUTS)) < 0.5)).astype(np.float32)
        yield x, t, rng.integers(0, N_CLASSES, n)


def learner(model, engine="fused", **flags):
    values = {"n_hiddens": 8, "lr": 0.1, "seed": 3, **FLAGS[model], **flags}
    settings = Settings(model=model, engine=engine, **values)
    return make_method(settings, N_INPUTS, N_CLASSES, N_TASKS, Rngs(settings.seed))


def trained(model, engine="fused", batch=1, tasks=N_TASKS, **flags):
    """A learner after all examples."""
    method = learner(model, engine, **flags)
    for x, t, y in list(examples())[:tasks]:
        for at in range(0, len(y), batch):
            method.observe(x[at : at + batch], y[at : at + batch], t)
    return method


def weights(method):
    return np.concatenate([part.numpy().ravel() for part in method.state_dict().values()])


@pytest.mark.parametrize("model", METHODS)
def test_every_method_is_a_learner(model):
    method = learner(model)
    assert isinstance(method, Learner)
    assert method.predict(next(examples())[0], 0).shape == (20, N_CLASSES)


@pytest.mark.parametrize("model", METHODS)
def test_fused_and_reference_engine_agree_on_one_stream(model):
    """Same draws (legacy), 60 examples: contract 6.5, tolerance-identical."""
    fused = weights(trained(model, "fused", sampler="legacy"))
    reference = weights(trained(model, "reference", sampler="legacy"))
    assert np.abs(fused - reference).max() < 1e-5
    assert np.abs(fused - weights(learner(model))).max() > 1e-2, (
        "nothing was learned: the comparison is empty"
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", METHODS)
def test_two_runs_of_one_seed_are_equal(model, engine):
    assert weights(trained(model, engine)).tobytes() == weights(trained(model, engine)).tobytes()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", METHODS)
def test_continuing_from_a_saved_state_equals_the_straight_run(model, engine):
    """O14: stop after a task, save parameters, memory, counters and generators, go on in a fresh learner."""
    straight = weights(trained(model, engine))
    rngs = Rngs(3)
    values = {"n_hiddens": 8, "lr": 0.1, "seed": 3, **FLAGS[model]}
    settings = Settings(model=model, engine=engine, **values)
    first = make_method(settings, N_INPUTS, N_CLASSES, N_TASKS, rngs)
    data = list(examples())
    for x, t, y in data[:2]:
        for i in range(len(y)):
            first.observe(x[i : i + 1], y[i : i + 1], t)
    saved, generators = first.state(), rngs.state()
    fresh = Rngs(99)
    second = make_method(settings, N_INPUTS, N_CLASSES, N_TASKS, fresh)
    second.load(saved)
    fresh.load(generators)
    x, t, y = data[2]
    for i in range(len(y)):
        second.observe(x[i : i + 1], y[i : i + 1], t)
    assert weights(second).tobytes() == straight.tobytes()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("model", "flags"),
    [
        ("meralg1", {"beta": 1.0, "gamma": 1.0, "batches_per_example": 1, "replay_batch_size": 0}),
        ("meralg6", {"gamma": 1.0, "batches_per_example": 1, "replay_batch_size": 0}),
        ("eralg4", {"replay_batch_size": 0}),
        ("eralg5", {"replay_batch_size": 0}),
        ("ewc", {"memory_strength": 0.0}),
    ],
)
def test_without_its_own_idea_a_method_is_online(model, flags, engine):
    """O5."""
    np.testing.assert_allclose(
        weights(trained(model, engine, **flags)), weights(trained("online", engine)), atol=1e-6
    )


def test_gem_is_online_during_the_first_task():
    online = weights(trained("online", tasks=1))
    np.testing.assert_allclose(weights(trained("gem", tasks=1)), online, atol=1e-6)
    assert np.abs(weights(trained("gem")) - weights(trained("online"))).max() > 1e-3


@pytest.mark.parametrize("flags", [{"beta": 0.0}, {"gamma": 0.0}])
def test_a_rate_of_zero_never_moves_the_parameters(flags):
    np.testing.assert_allclose(weights(trained("meralg1", **flags)), weights(learner("meralg1")), atol=1e-7)


def test_with_one_batch_only_the_product_of_the_two_rates_counts():
    one = trained("meralg1", batches_per_example=1, beta=0.4, gamma=0.5)
    other = trained("meralg1", batches_per_example=1, beta=0.2, gamma=1.0)
    np.testing.assert_allclose(weights(one), weights(other), atol=1e-5)


def test_gamma_scales_the_whole_step():
    """O4: final = A + gamma (result with gamma 1 - A), for the first example."""
    x, t, y = next(iter(examples()))
    ends = {}
    for gamma in (1.0, 0.3):
        method = learner("meralg1", gamma=gamma)
        for i in range(2):
            start = weights(method)
            method.observe(x[i : i + 1], y[i : i + 1], t)
            ends[gamma, i] = weights(method) - start
    np.testing.assert_allclose(ends[0.3, 0], 0.3 * ends[1.0, 0], atol=1e-6)


def test_meralg1_is_two_sgd_steps_then_reptile():
    """O5, written out with one-example steps of online: current first, then one memory item, theta <- W +
    beta (theta - W).
    """
    x, t, y = next(iter(examples()))
    method = learner("meralg1", replay_batch_size=1, batches_per_example=1, beta=0.3, gamma=1.0, memories=1)
    plain = learner("online")
    plain.net.step(x[:1], y[:1])
    start = theta_to_numpy(learner("online").net.theta)
    expected = start + np.float32(0.3) * (plain.net.theta - start)  # the first example finds an empty memory
    method.observe(x[:1], y[:1], t)
    np.testing.assert_allclose(method.net.theta, expected, atol=1e-6)
    plain.net.theta[...] = expected
    plain.net.step(x[1:2], y[1:2])
    plain.net.step(x[:1], y[:1])  # the only item in memory
    method.observe(x[1:2], y[1:2], t)
    np.testing.assert_allclose(
        method.net.theta, expected + np.float32(0.3) * (plain.net.theta - expected), atol=1e-6
    )


def test_meralg7_stores_its_first_example_without_learning_it():
    method = learner("meralg7")
    x, t, y = next(iter(examples()))
    before = weights(method)
    method.observe(x[:1], y[:1], t)
    np.testing.assert_array_equal(weights(method), before)
    assert method.memory.sampler.size == 1
    method.observe(x[1:2], y[1:2], t)
    assert np.abs(weights(method) - before).max() > 0


def test_meralg7_loss_factor_is_a_rate_factor():
    """O5: with an empty replay batch, s times the loss is s times the learning rate."""
    a = trained("meralg7", replay_batch_size=0, gamma=1.0, s=3.0, lr=0.05)
    b = trained("meralg7", replay_batch_size=0, gamma=1.0, s=1.0, lr=0.15)
    np.testing.assert_allclose(weights(a), weights(b), atol=1e-5)


def test_balanced_replay_with_one_task_is_merged_replay():
    one, other = trained("eralg5", tasks=1), trained("eralg4", tasks=1)
    np.testing.assert_allclose(weights(one), weights(other), atol=1e-6)


def test_balanced_weights_add_up_to_the_number_of_tasks():
    w = METHODS["eralg5"].weights(np.array([4, 4, 2, 4, 0]))
    np.testing.assert_allclose(w, [1 / 3, 1 / 3, 1, 1 / 3, 1])


@pytest.mark.parametrize("engine", ENGINES)
def test_ewc_penalty_gradient_is_the_sum_over_tasks(engine):
    """O6: 2 lambda sum_u F_u (theta - theta*_u) from the terms kept one by one, F_u = (mean gradient)^2."""
    method = learner("ewc", engine, memory_strength=2.5)
    fishers, stars = [], []
    for x, t, y in examples():
        if method.current >= 0:
            gradient = method.net.engine.gradient(method.net.theta, method.rows, np.arange(method.filled))
            fishers.append(theta_to_numpy(gradient).astype(np.float64) ** 2)
            stars.append(theta_to_numpy(method.net.theta).astype(np.float64))
        for i in range(len(y)):
            method.observe(x[i : i + 1], y[i : i + 1], t)
    theta = theta_to_numpy(method.net.theta).astype(np.float64)
    expected = 2 * 2.5 * sum(f * (theta - s) for f, s in zip(fishers, stars, strict=True))
    assert len(fishers) == 2
    np.testing.assert_allclose(theta_to_numpy(method.pull()), expected, atol=1e-6)


def test_ewc_remembers_exactly_the_first_q_examples_of_a_task():
    method = learner("ewc", n_memories=4)
    x, t, y = next(iter(examples()))
    for i in range(len(y)):
        method.observe(x[i : i + 1], y[i : i + 1], t)
    assert method.filled == 4
    np.testing.assert_allclose(method.rows.dense(np.arange(4)), x[:4])


def test_ewc_settles_at_the_weighted_mean_of_its_anchors():
    """O6: without data the penalty alone leads to sum F theta* / sum F, if alpha lambda max F < 1."""
    method = learner("ewc", memory_strength=1.0)
    rng = np.random.default_rng(0)
    n = method.net.engine.layout.n_params
    fisher, star = rng.random((2, n)), rng.normal(size=(2, n))
    method.total = fisher.sum(0)
    method.centre = (fisher * star).sum(0) / method.total
    method._set_pull()
    for _ in range(20000):
        method.net.engine.descend(method.net.theta, method.pull(), 0.05)
    np.testing.assert_allclose(method.net.theta, method.centre, atol=5e-3)


def test_gem_ring_holds_the_last_q_examples_of_a_finished_task():
    """O8, with 20 examples per task and q = 6: the global pointer changes the order of slots only."""
    method = trained("gem", n_memories=6)
    for x, t, y in examples():
        slots = t * 6 + np.arange(6)
        kept = {row.tobytes() for row in method.rows.dense(slots)}
        assert kept == {row.tobytes() for row in x[-6:]}
        assert sorted(method.rows.label[slots]) == sorted(y[-6:])


def test_gem_uses_only_filled_slots():
    """Five examples per task, q = 8: three slots per task stay empty and must not enter any gradient."""
    method = learner("gem", n_memories=8)
    for x, t, y in examples():
        for i in range(5):
            method.observe(x[i : i + 1], y[i : i + 1], t)
    assert method.filled.sum(axis=1).tolist() == [5, 5, 5]
    assert len(method.past.past._label) == 10
    assert np.isfinite(method.net.theta).all()


def answers(method, x, y, v):
    """G g, G G' and the layers of g + G'v as arrays, output-major in both engines."""
    indices = method.net.batch.put(x, y)
    dots, gram = method.past.compare(method.net.theta, method.net.batch.rows, indices), method.past.gram()
    step = method.past.direction(v)
    moved = torch.from_numpy(step) if method.net.engine.name == "reference" else step
    return [dots, gram, *(part.numpy() for pair in method.net.engine.unpack(moved) for part in pair)]


@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("factored", [True, False])
def test_gem_packed_past_equals_autograd(factored, n_layers, monkeypatch):
    """The fused engine's two ways give the same G g, G G' and g + G'v as one autograd gradient per task,
    anew and after steps whose effect on the first layer they follow; with memories of unequal size.
    """
    monkeypatch.setattr(gem, "FACTORED_ROWS", 200 if factored else 0)
    fused, plain = (trained("gem", engine, n_memories=6, n_layers=n_layers) for engine in ENGINES)
    assert type(fused.past.past).__name__ == ("FactoredPast" if factored else "PackedPast")
    x, _, y = next(iter(examples(9, 2)))
    for method in (fused, plain):
        method.filled[0, 3:] = False
        method._freeze()
    for v in (np.array([0.7, 0.2]), None, np.array([0.0, 0.4]), None, None):
        plain.net.theta.copy_(plain.net.engine.pack(fused.net.engine.unpack(fused.net.theta)))
        ours, theirs = answers(fused, x, y, v), answers(plain, x, y, v)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        fused.net.engine.descend(fused.net.theta, fused.past.direction(v), 0.1)
        fused.past.moved(0.1, v)


@pytest.mark.parametrize("finished", [5, 19])
def test_gem_at_the_papers_size_equals_autograd_to_1e_5(finished):
    """256 memories of 784 pixels a task, 89,610 parameters: every entry of the three answers, as parts of the
    largest one.
    """
    images, labels = bench.task_data()
    fused, plain = (bench.gem_learner(engine, finished, images, labels) for engine in ENGINES)
    for method in (fused, plain):
        method._start_task(19)
    assert type(fused.past.past).__name__ == "PackedPast"
    v = np.linspace(0.0, 2.0, finished)
    for i in range(2):
        x, y = images[-1, i : i + 1], labels[-1, i : i + 1]
        plain.net.theta.copy_(plain.net.engine.pack(fused.net.engine.unpack(fused.net.theta)))
        for a, b in zip(answers(fused, x, y, v), answers(plain, x, y, v), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
        fused.observe(x, y, 19)


@pytest.mark.parametrize("factored", [True, False])
@pytest.mark.parametrize("scales", [(1e-25, 1e-25), (1e20, 1e20), (1.0, 1e-25), (1e-25, 1.0), (1e18, 1e-22)])
def test_gem_holds_its_constraints_at_every_size_of_gradient(factored, scales, monkeypatch):
    """Errors are made so many times as large, in float32; the products are what they were, times as many."""
    monkeypatch.setattr(gem, "FACTORED_ROWS", 1200 if factored else 0)
    method = trained("gem", "fused", n_memories=6)
    x, _, y = next(iter(examples(9, 2)))
    indices, found = method.net.batch.put(x, y), []
    for g_scale, r_scale in ((1.0, 1.0), scales):
        with monkeypatch.context() as patch:
            scale_errors(patch, g_scale, r_scale)
            method.past.past.forget()
            dots = method.past.compare(method.net.theta, method.net.batch.rows, indices)
            gram = method.past.gram()
            # Turned until it does not oppose what it opposed: all signs are set against it.
            v = nonnegative_dual(gram, -np.abs(dots), 0.0)
            step = method.past.direction(v).astype(float)
        assert np.isfinite(step).all()
        found.append((dots / g_scale / r_scale, gram / r_scale / r_scale, step / g_scale))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-5 * np.abs(ours).max())


def scale_errors(patch, g_scale, r_scale):
    """Errors of the present gradient g_scale times as large, those of the past ones r_scale times."""
    plain, passes = gem_gradients.factors, gem_packed.PackedPast._passes

    def scaled(layout, theta, x, y, first):
        inputs, errors = plain(layout, theta, x, y, first)
        return inputs, [error * np.float32(g_scale if first is None else r_scale) for error in errors]

    def scaled_passes(self, blocks):
        passes(self, blocks)
        for error in self._errors:
            error *= np.float32(r_scale)

    patch.setattr(gem_gradients, "factors", scaled)
    patch.setattr(gem_packed, "factors", scaled)
    patch.setattr(gem_packed.PackedPast, "_passes", scaled_passes)


def test_independent_never_touches_another_tasks_network():
    """O12: after training task 2, nets 0 and 1 are what they were."""
    method = learner("independent")
    data = list(examples())
    kept = []
    for x, t, y in data:
        for i in range(len(y)):
            method.observe(x[i : i + 1], y[i : i + 1], t)
        kept.append(theta_to_numpy(method.theta[t]))
    for t in range(N_TASKS):
        np.testing.assert_array_equal(method.theta[t], kept[t])


@pytest.mark.parametrize("finetune", [True, False])
def test_independent_starts_from_the_previous_network_only_with_finetune(finetune):
    method = learner("independent", finetune=finetune)
    data = list(examples())
    own_start = theta_to_numpy(method.theta[1])
    x, t, y = data[0]
    method.observe(x[:5], y[:5], t)
    trained_first = theta_to_numpy(method.theta[0])
    x, t, y = data[1]
    start = trained_first if finetune else own_start
    twin = learner("independent")
    twin.theta[1][...] = start
    twin.previous = 1
    twin.observe(x[:5], y[:5], 1)
    method.observe(x[:5], y[:5], t)
    np.testing.assert_array_equal(method.theta[1], twin.theta[1])


def test_independent_width_is_the_share_of_units():
    assert learner("independent", n_hiddens=10).engine.layout.sizes == (N_INPUTS, 3, 3, N_CLASSES)


def test_taskinput_moves_only_the_current_tasks_input_layer():
    method = learner("taskinput")
    x, _, y = next(iter(examples()))
    before = method.state_dict()
    method.observe(x, y, 1)
    after = method.state_dict()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {n for n in changed if n.startswith("i_layer")} == {"i_layer.1.weight", "i_layer.1.bias"}
    assert "o_layer.0.weight" in changed
    assert "h_layer.0.0.weight" in changed


@pytest.mark.parametrize(("n_layers", "hidden"), [(1, 2), (0, 1), (-1, 0)])
def test_taskinput_reads_its_reduced_layer_count(n_layers, hidden):
    """n_layers is one less than the flag; -1 (flag 0) is one linear map per task."""
    assert len(trained("taskinput", n_layers=n_layers).engine.layout.sizes) == hidden + 2


@pytest.mark.parametrize("engine", ENGINES)
def test_initial_weights_follow_the_glorot_law_and_torchs_own_draws(engine):
    """O13, and the draw order of contract 2.3: default draws of all layers first, then the redraw."""
    import torch

    method = learner("online", engine, n_hiddens=100)
    torch.manual_seed(3)
    layers = [torch.nn.Linear(*pair) for pair in ((N_INPUTS, 100), (100, 100), (100, N_CLASSES))]
    for place, layer in enumerate(layers):
        bound = (3**0.5) * (2 / (layer.in_features + layer.out_features)) ** 0.5
        torch.nn.init.uniform_(layer.weight, -bound, bound)
        state = method.state_dict()
        torch.testing.assert_close(
            state[f"net.net.{2 * place}.weight"], layer.weight.detach(), rtol=0, atol=0
        )
        assert not state[f"net.net.{2 * place}.bias"].any()
    wide = method.state_dict()["net.net.2.weight"].numpy()
    bound = (6 / 200) ** 0.5
    assert np.abs(wide).max() <= bound
    assert abs(wide.var() / (bound**2 / 3) - 1) < 0.05


def test_batches_of_several_rows_are_learned_one_by_one_by_replay_methods():
    """Contract 3.12: er* and mer* loop over the rows, so the batch size does not matter."""
    for model in ("eralg4", "meralg1"):
        np.testing.assert_array_equal(weights(trained(model, batch=5)), weights(trained(model, batch=1)))
    assert np.abs(weights(trained("online", batch=5)) - weights(trained("online"))).max() > 1e-3
