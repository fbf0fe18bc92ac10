"""A-GEM, EWC, ER and the losses against closed forms, small quadratic programs and counting."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn
from torch.nn import functional

from clrepro.adapters.agem import project
from clrepro.learner import Learner
from clrepro.streams import Stream, Task
from tag_repro import TAG
from tag_repro.losses import mixed_loss, statistics_kept, task_loss
from tag_repro.tag.methods import METHODS
from tag_repro.tag.methods.agem import AGEM
from tag_repro.tag.methods.ewc import EWC
from tag_repro.tag.settings import TagSettings
from tag_repro.task_stream import TaskStream

TASKS, CLASSES, INPUTS = 3, 2, 5


def bench(tasks=TASKS, classes=CLASSES, replay_classes=None):
    """Tasks of random bytes, each with outputs of its own."""

    def make(number):
        rng = np.random.default_rng(number)
        x = rng.integers(0, 256, (40, INPUTS), dtype=np.uint8)
        y = np.arange(40) % classes
        return Task(f"{number}", x, y, x, y, tuple(range(classes)))

    stream = Stream("tiny", [lambda k=k: make(k) for k in range(tasks)], INPUTS, classes)
    return TaskStream("tiny", stream, classes, True, {}, replay_classes=replay_classes or classes * tasks)


def method(name, network=None, task_stream=None, **settings):
    """The method, its network with known parameters."""
    torch.manual_seed(0)
    task_stream = task_stream or bench()
    network = network or nn.Linear(INPUTS, task_stream.n_outputs)
    usual = {"agem": {"mem_size": 2}, "er": {"mem_size": 2}, "ewc": {"lambd": 3.0}}.get(name, {})
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return METHODS[name](network, optimizer, task_stream, np.random.default_rng(1), **{**usual, **settings})


def batch(task, n=8, seed=0):
    rng = np.random.default_rng([task, seed])
    x = torch.from_numpy(rng.random((n, INPUTS), dtype=np.float32))
    return x, torch.from_numpy(rng.integers(0, CLASSES, n) + CLASSES * task)


def flat(network):
    return torch.cat([p.grad.reshape(-1) for p in network.parameters()])


# --- losses ----------------------------------------------------------------------------------------------


def test_mixed_loss_is_each_examples_own_tasks_cross_entropy_and_leaves_foreign_outputs_alone():
    logits = torch.randn(6, TASKS * CLASSES, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 2, 3, 4, 5])
    loss = mixed_loss(logits, y, CLASSES)
    by_hand = [
        functional.cross_entropy(logits[k, 2 * (k // 2) : 2 * (k // 2) + 2][None], y[k, None] % 2)
        for k in range(6)
    ]
    torch.testing.assert_close(loss, torch.stack(by_hand).mean())
    loss.backward()
    own = torch.zeros(6, 6, dtype=torch.bool)
    for k in range(6):
        own[k, 2 * (k // 2) : 2 * (k // 2) + 2] = True
    assert (logits.grad[~own] == 0).all()
    assert (logits.grad[own] != 0).all()


def test_a_label_outside_of_its_task_is_refused():
    with pytest.raises(ValueError, match=r"outside of the outputs 2\.\.3"):
        task_loss(torch.zeros(1, 6), torch.tensor([4]), (2, 4))


def test_a_reference_batch_leaves_running_statistics_alone():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    before = network[0].running_mean.clone()
    with statistics_kept(network):
        network(torch.randn(4, 3))
        assert network[1].training
    assert torch.equal(network[0].running_mean, before)
    assert network[0].training


# --- A-GEM -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_projection_is_the_nearest_vector_that_does_not_oppose(seed):
    rng = np.random.default_rng(seed)
    g, r = rng.normal(size=6), rng.normal(size=6)
    found = project(torch.from_numpy(g), torch.from_numpy(r)).numpy()
    best = minimize(
        lambda x: ((x - g) ** 2).sum(), g, jac=lambda x: 2 * (x - g), method="SLSQP",
        constraints={"type": "ineq", "fun": lambda x: x @ r, "jac": lambda x: r}, options={"ftol": 1e-14},
    )  # fmt: skip
    np.testing.assert_allclose(found, best.x, atol=1e-6)
    assert found @ r >= -1e-6 * np.linalg.norm(found) * np.linalg.norm(r)
    assert np.linalg.norm(found) <= np.linalg.norm(g) + 1e-12
    np.testing.assert_allclose(
        project(torch.from_numpy(found), torch.from_numpy(r)).numpy(), found, atol=1e-9
    )
    if g @ r >= 0:
        assert np.array_equal(found, g)


def test_without_a_reference_nothing_changes():
    g = torch.randn(4)
    assert torch.equal(project(g, torch.zeros(4)), g)


def test_agem_turns_the_gradient_against_memory_of_earlier_tasks_only():
    agem = method("agem")
    x, y = batch(0)
    agem.gradients(x, y, 0)
    first = flat(agem.network).clone()
    for p in agem.parameters:
        p.grad = None
    task_loss(agem.network(x), y, (0, 2)).backward()
    assert torch.equal(
        first, flat(agem.network)
    )  # the first task has no reference, its own memory does not count
    x1, y1 = batch(1)
    old = agem.examples.read(np.concatenate([agem.policy.slots_of(label) for label in range(6)]))
    old_x, old_y = old["x"], old["y"]
    assert set(old_y.tolist()) <= {0, 1}
    assert len(old_y) == 4  # two of each class: the latest ones
    for label in (0, 1):
        assert torch.equal(torch.sort(old_x[old_y == label, 0])[0], torch.sort(x[y == label][-2:, 0])[0])
    loss = mixed_loss(agem.network(old_x), old_y, CLASSES)
    reference = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, agem.parameters)])
    agem.gradients(x1, y1, 1)
    got = flat(agem.network)
    assert float(got @ reference) >= -1e-6


# --- EWC -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fisher", ["empirical", "original", "original-wrong-mask"])
def test_fisher_information_stays_on_the_tasks_own_outputs_unless_the_mask_is_wrong(fisher):
    ewc = method("ewc", ewc_fisher=fisher)
    x = torch.randint(0, 256, (30, INPUTS), dtype=torch.uint8)
    ewc.consolidate(x, torch.arange(30) % 2, 0)
    rows = ewc.fisher[1]  # of the bias: one number per output
    assert (rows[:2] > 0).all()
    foreign = bool((rows[2:4] > 0).any())
    assert foreign == (fisher == "original-wrong-mask")


def test_fisher_information_is_the_mean_of_squared_gradients_example_by_example():
    ewc = method("ewc", network=nn.Sequential(nn.Linear(INPUTS, 4), nn.Tanh(), nn.Linear(4, 6)))
    x, y = torch.randint(0, 256, (17, INPUTS), dtype=torch.uint8), torch.arange(17) % 2 + 2
    ewc.consolidate(x, y, 1)
    total = [torch.zeros_like(p) for p in ewc.parameters]
    for one, label in zip(x.float() / 255, y, strict=True):
        loss = task_loss(ewc.network(one[None]), label[None], (2, 4))
        for t, g in zip(total, torch.autograd.grad(loss, ewc.parameters), strict=True):
            t += g**2
    for f, t in zip(ewc.fisher, total, strict=True):
        torch.testing.assert_close(f, t / 17, rtol=1e-4, atol=1e-9)
    ewc.consolidate(x, y, 1)
    torch.testing.assert_close(ewc.fisher[0], 2 * total[0] / 17, rtol=1e-4, atol=1e-9)  # tasks add up


def test_the_penalty_gradient_is_clipped_and_added():
    ewc = method("ewc", lambd=3.0)
    ewc.anchor = [p.detach() - 0.5 for p in ewc.parameters]
    ewc.fisher = [torch.full_like(p, 0.25) for p in ewc.parameters]
    for g in ewc.penalty_gradients():
        torch.testing.assert_close(g, torch.full_like(g, 2 * 3.0 * 0.25 * 0.5))
    x, y = batch(0)
    plain = method("")
    plain.gradients(x, y, 0)
    ewc.gradients(x, y, 0)
    torch.testing.assert_close(flat(ewc.network), flat(plain.network) + 0.75)
    ewc.fisher = [f * 1e6 for f in ewc.fisher]
    ewc.gradients(x, y, 0)
    added = flat(ewc.network) - flat(plain.network)
    assert float(added.norm()) == pytest.approx(100.0, rel=1e-3)


@pytest.mark.parametrize("lambd", [0.0, 1.0, 1e4])
def test_the_minimum_of_a_linear_gaussian_loss_with_the_penalty(lambd):
    """|Xw - y|² / 2N + lambda sum F (w - w*)², minimised by EWC's gradients; closed form by hand."""
    rng = np.random.default_rng(0)
    x, y, anchor = rng.normal(size=(50, 4)), rng.normal(size=50), rng.normal(size=4)
    fisher = (x**2).mean(0)
    best = np.linalg.solve(
        x.T @ x / 50 + 2 * lambd * np.diag(fisher), x.T @ y / 50 + 2 * lambd * fisher * anchor
    )
    network = nn.Linear(4, 1, bias=False).double()
    ewc = EWC(network, None, bench(), np.random.default_rng(0), lambd=lambd)
    ewc.fisher, ewc.anchor = [torch.from_numpy(fisher)[None]], [torch.from_numpy(anchor)[None]]
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    rate = 0.5 / (1 + 2 * lambd)
    for _ in range(4000):
        (pull,) = ewc.penalty_gradients()
        residual = (network(tx)[:, 0] - ty) @ tx / 50
        with torch.no_grad():
            network.weight -= rate * (residual[None] + pull)
    np.testing.assert_allclose(network.weight.detach().numpy()[0], best, atol=1e-6)
    if lambd > 1:
        np.testing.assert_allclose(best, anchor, atol=1e-3)


# --- ER --------------------------------------------------------------------------------------------------


def test_replay_adds_the_gradient_on_remembered_examples():
    er = method("er", task_stream=bench(replay_classes=4))
    x, y = batch(0)
    er.gradients(x, y, 0)
    plain = method("")
    plain.gradients(x, y, 0)
    assert torch.equal(flat(er.network), flat(plain.network))  # the first task: no replay
    held = er.examples.read(np.arange(er.policy.size))
    held_x, held_y = held["x"], held["y"]
    assert len(held_y) == 8
    x1, y1 = batch(1)
    er.gradients(x1, y1, 1)
    plain.gradients(x1, y1, 1)
    now = flat(plain.network)
    loss = mixed_loss(plain.network(held_x), held_y, CLASSES)  # as many as the batch: all eight
    old = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, plain.parameters)])
    torch.testing.assert_close(flat(er.network), now + old, rtol=1e-5, atol=1e-7)


def test_every_example_of_a_stream_is_remembered_with_the_same_probability():
    """Batches of 10 from a stream of 500 into 25 slots, many times: also those right after the filling."""
    counts = np.zeros(500)
    er = method("er", task_stream=bench(classes=5, tasks=5, replay_classes=5), mem_size=5)
    repetitions = 600
    for seed in range(repetitions):
        er.policy = type(er.policy)(25, np.random.default_rng(seed))
        held = np.full(25, -1)
        for start in range(0, 500, 10):
            for offset, slot in enumerate(er.policy.add(10).tolist()):
                if slot >= 0:
                    held[slot] = start + offset
        counts[held] += 1
    expected, spread = repetitions * 0.05, np.sqrt(repetitions * 0.05 * 0.95)
    assert abs(counts - expected).max() < 4.5 * spread
    assert abs(counts[25:35].mean() - expected) < 4 * spread / np.sqrt(10)


@pytest.mark.parametrize("name", ["agem", "er", "ewc"])
def test_what_a_method_remembers_survives_a_round_trip(name):
    one, two = method(name), method(name)
    for task in range(2):
        x, y = batch(task)
        one.begin_task(task)
        one.observe((x * 255).to(torch.uint8), y, task)
        one.end_task(task)
    two.load(one.state())
    two.rng.bit_generator.state = one.rng.bit_generator.state
    x, y = batch(2)
    assert one.gradients(x, y, 2) == two.gradients(x, y, 2)
    assert torch.equal(flat(one.network), flat(two.network))


@pytest.mark.parametrize("name", ["agem", "er"])
def test_examples_of_another_capacity_are_not_loaded(name):
    one = method(name)
    x, y = batch(0)
    one.gradients(x, y, 0)
    held = one.memory_state()["examples"]
    for rows in (1, len(held["y"]) - 1):
        with pytest.raises(ValueError, match="slots"):
            method(name).examples.load({k: v[:rows] for k, v in held.items()}, "cpu")


def test_every_wrapper_of_the_grammar_has_a_method():
    names = {TagSettings(opt=opt).method.wrapper for opt in ("", "rms", "ewc", "tag-agem", "er-tag")}
    assert names == set(METHODS)
    assert isinstance(method("agem"), AGEM)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_a_learner_of_plain_arguments(name):
    one = method(name)
    assert isinstance(one, Learner)
    x, y = torch.randint(0, 256, (8, INPUTS), dtype=torch.uint8), torch.arange(8) % CLASSES + CLASSES
    before = one.predict(x, 1)
    assert before.shape == (8, CLASSES)
    assert torch.equal(before, one.network(x.float() / 255)[:, 2:4])
    loss = one.observe(x, y, 1)
    assert loss == pytest.approx(float(functional.cross_entropy(before, y - CLASSES)))
    assert not torch.equal(one.predict(x, 1), before)
    assert one.alphas() is None


def test_the_rate_of_plain_sgd_falls_and_tag_is_told_of_tasks():
    one = method("", rate=lambda task: 0.5 / (task + 1))
    one.begin_task(1)
    assert one.optimizer.param_groups[0]["lr"] == 0.25
    network = nn.Linear(INPUTS, TASKS * CLASSES)
    tag = METHODS[""](network, TAG(network.parameters(), lr=0.01), bench(), np.random.default_rng(0))
    for task in range(2):
        tag.begin_task(task)
        tag.observe(
            torch.ones(4, INPUTS, dtype=torch.uint8), torch.arange(4) % CLASSES + CLASSES * task, task
        )
        assert len(tag.alphas()) == task
        tag.end_task(task)
    assert tag.optimizer.num_tasks_seen == 2
