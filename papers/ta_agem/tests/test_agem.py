"""The A-GEM step: the projection against its closed form and a general solver, the fused step against
autograd.
"""

import numpy as np
import pytest
from scipy.optimize import minimize

from ta_agem_repro.fused_engine import FusedEngine
from ta_agem_repro.networks import initial_layers, network

torch = pytest.importorskip("torch")
from ta_agem_repro.agem import AGEMHandler  # noqa: E402
from ta_agem_repro.learning_rate import TALearningRateScheduler  # noqa: E402
from ta_agem_repro.reference_engine import ReferenceEngine  # noqa: E402

SIZES = {"input_dim": 784, "hidden_dim": 30}


def handler(seed=0, rate=0.1, **options):
    model = network(initial_layers(np.random.default_rng(seed), **SIZES))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    return AGEMHandler(model, torch.nn.CrossEntropyLoss(), optimizer, "cpu", **options)


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def rows(seed, n):
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((n, 784)) < 0.2, rng.integers(0, 256, (n, 784)), 0).astype(np.uint8)
    return x, rng.integers(0, 10, n)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_projection_does_what_it_promises(dtype):
    project = handler().project_gradient
    for seed in range(200):
        g, r = torch.randn(2, 50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(
            dtype
        )
        out, scale = project(g, r), g.norm() * r.norm()
        assert torch.dot(out, r) >= -1e-6 * scale
        assert out.norm() <= g.norm() * (1 + 1e-6)
        torch.testing.assert_close(project(out, r), out, rtol=0, atol=1e-5)
        torch.testing.assert_close(project(g, 7 * r), out, rtol=0, atol=1e-5)
        if torch.dot(g, r) >= 0:
            assert torch.equal(out, g)
        else:
            assert abs(float(torch.dot(out, r))) <= 1e-6 * float(scale)
    assert torch.equal(project(g, torch.zeros_like(g)), g)


def test_the_projection_solves_its_quadratic_programme():
    project = handler().project_gradient
    for seed in range(100):
        g, r = np.random.default_rng(seed).normal(size=(2, 5))
        solved = minimize(
            lambda v, g=g: 0.5 * ((v - g) ** 2).sum(), g, jac=lambda v, g=g: v - g, method="SLSQP",
            constraints={"type": "ineq", "fun": lambda v, r=r: v @ r, "jac": lambda v, r=r: r},
            options={"ftol": 1e-14},
        )  # fmt: skip
        np.testing.assert_allclose(project(*map(torch.from_numpy, (g, r))).numpy(), solved.x, atol=1e-6)


def test_fused_and_plain_steps_agree_for_both_signs():
    layers = initial_layers(np.random.default_rng(1), **SIZES)
    x, y = rows(2, 60)
    kept_x, kept_y = rows(3, 40)
    learners = [FusedEngine(layers, 40), ReferenceEngine(layers, 40)]
    for learner in learners:
        learner.open(x, y)
        for slot in range(40):
            learner.remember(slot, kept_x[slot].astype(np.float32) / np.float32(255), int(kept_y[slot]))
    rng, projected = np.random.default_rng(4), 0
    for step in range(120):
        indices, slots = rng.integers(0, 60, 10), rng.integers(0, 40, 10 if step % 4 else 0)
        fused, plain = (learner.steps(indices[None], slots[None], 0.05)[0] for learner in learners)
        np.testing.assert_allclose(fused, plain, rtol=2e-4, atol=2e-5)
        projected += fused[1] < 0
        for (a, b), (c, d) in zip(learners[0].layers(), learners[1].layers(), strict=True):
            np.testing.assert_allclose(a, c, atol=1e-6)
            np.testing.assert_allclose(b, d, atol=1e-6)
        learners[1].load(_as_reference(learners[0], learners[1]))
    assert 20 < projected < 100
    np.testing.assert_allclose(learners[0].loss(indices), learners[1].loss(indices), rtol=1e-5)


def _as_reference(fused, reference):
    """The reference's state with the fused parameters: single steps are compared."""
    return {**reference.state(), "parts": [part for layer in fused.layers() for part in layer]}


def test_a_small_projected_step_does_not_raise_the_memory_loss():
    x, y = (torch.from_numpy(a) for a in rows(5, 10))
    m, z = (torch.from_numpy(a) for a in rows(6, 10))
    x, m = x.float() / 255, m.float() / 255
    rises = []
    for rate in (1e-2, 1e-3):
        tested = handler(seed=7, rate=rate)
        with torch.no_grad():
            before = float(tested.criterion(tested.model(m), z))
        tested.step(x, y, m, z)
        with torch.no_grad():
            rises.append(max(float(tested.criterion(tested.model(m), z)) - before, 0.0))
    assert rises[1] <= max(rises[0] * 0.02, 1e-6)


def test_compute_gradient_leaves_everything_as_it_was():
    tested = handler()
    x, y = rows(8, 6)
    before, state = flat(tested.model), torch.get_rng_state()
    tested.compute_gradient(torch.from_numpy(x).float(), torch.from_numpy(y))
    assert torch.equal(flat(tested.model), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in tested.model.parameters())


def test_without_memory_it_is_sgd():
    tested, model = handler(seed=9), network(initial_layers(np.random.default_rng(9), **SIZES))
    plain = torch.optim.SGD(model.parameters(), lr=0.1)
    for seed in range(5):
        x, y = (torch.from_numpy(a) for a in rows(seed, 10))
        loss = tested.optimize(x.float() / 255, y)
        plain.zero_grad()
        expected = torch.nn.functional.cross_entropy(model(x.float() / 255), y)
        expected.backward()
        plain.step()
        assert loss == pytest.approx(float(expected.detach()))
    assert torch.equal(flat(tested.model), flat(model))


def test_memory_samples_are_capped_and_the_scheduler_comes_first():
    x, y = (torch.from_numpy(a) for a in rows(1, 4))
    memory = [
        (row.float() / 255, int(label)) for row, label in zip(*map(torch.from_numpy, rows(2, 9)), strict=True)
    ]
    capped, cut = handler(batch_size=3), handler()
    capped.optimize(x.float() / 255, y, memory)
    cut.optimize(x.float() / 255, y, memory[:3])
    assert torch.equal(flat(capped.model), flat(cut.model))
    scheduled = handler(lr_scheduler=TALearningRateScheduler(lr_init=0.0))
    before = flat(scheduled.model)
    scheduled.optimize(x.float() / 255, y, memory)
    assert torch.equal(flat(scheduled.model), before)
    with pytest.raises(ValueError, match="the model has"):
        scheduled.set_gradient(torch.zeros(3))
