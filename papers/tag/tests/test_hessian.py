"""Hessian products and eigenpairs against exact Hessians."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn import functional

from tag_repro.hessian import (
    HVPOperator,
    LambdaOperator,
    compute_hessian_eigenthings,
    deflated_power_iteration,
    lanczos,
    power_iteration,
    spectral_density,
)
from tag_repro.hessian.residual import residuals


def symmetric(n=50, seed=0):
    a = np.random.default_rng(seed).normal(size=(n, n))
    return torch.from_numpy((a + a.T) / 2).float()


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 4))


def samples(n=200):
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(size=(n, 10)).astype(np.float32))
    return x, torch.from_numpy(rng.integers(0, 4, n))


def loader(x, y, size, order=None):
    order = torch.arange(len(y)) if order is None else order
    return [(x[part], y[part]) for part in order.split(size)]


def exact(model, x, y):
    names = [name for name, _ in model.named_parameters()]
    sizes = [p.shape for p in model.parameters()]

    def loss(flat):
        parts = flat.split([s.numel() for s in sizes])
        values = {n: p.view(s) for n, p, s in zip(names, parts, sizes, strict=True)}
        return functional.cross_entropy(functional_call(model, values, (x,)), y)

    return hessian(loss, torch.cat([p.detach().reshape(-1) for p in model.parameters()]))


def test_the_product_of_a_quadratic_is_its_matrix():
    a = symmetric(12)
    model = nn.Linear(12, 1, bias=False)
    data = [(torch.zeros(1, 12), torch.zeros(1))]
    operator = HVPOperator(
        model, data, lambda out, _: out, forward_fn=lambda m, _: 0.5 * m.weight[0] @ a @ m.weight[0]
    )
    v = torch.randn(12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(operator.apply(v), a @ v)


@pytest.mark.parametrize("method", ["power", "lanczos"])
def test_top_three_of_an_indefinite_matrix(method):
    a = symmetric()
    values, vectors = torch.linalg.eigh(a.double())
    order = values.abs().argsort(descending=True)[:3]
    operator = LambdaOperator(lambda v: a @ v, 50)
    if method == "power":
        found, rows = deflated_power_iteration(operator, 3, 5000, 1e-12)
    else:
        found, rows = lanczos(operator, 3, max_steps=500, tol=1e-8)
        place = np.argsort(-np.abs(found))
        found, rows = found[place], rows[place]
    np.testing.assert_allclose(found, values[order].numpy(), rtol=1e-4)
    cosines = np.abs(np.sum(rows * vectors[:, order].T.numpy(), axis=1))
    assert (cosines > 0.999).all()


def of_spectrum(values, seed=0):
    """An operator of known eigenvalues in a basis that no method knows."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))
    a = torch.from_numpy(basis @ np.diag(values) @ basis.T)
    return LambdaOperator(lambda v: (a @ v.double()).to(v.dtype), len(values))


@pytest.mark.parametrize("method", ["power", "lanczos"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "values",
    [(5, -5, 3, 1, 0.5, 0.1), (5, -4.99, 3, 1, 0.5, 0.1), (-4, 4, -4, 1, 0, 0), (1, 1, 1, 1, 1, 1)],
)
def test_opposite_close_and_equal_eigenvalues(values, seed, method):
    """Plain iteration mixes λ and −λ for ever and reports what is no eigenvalue, e.g. 4.06 for 5 and −5."""
    operator = of_spectrum(values, seed)
    if method == "power":
        found, rows = deflated_power_iteration(operator, 3, seed=seed, use_gpu=False)
    else:
        found, rows = lanczos(operator, 3, seed=seed)
    want = sorted(sorted(values, key=lambda v: -abs(v))[:3])
    np.testing.assert_allclose(sorted(found), want, atol=2e-3)
    np.testing.assert_allclose(rows @ rows.T, np.eye(3), atol=1e-4)
    assert (residuals(operator, found, rows) < 5e-3).all()


def test_three_hundred_close_eigenvalues():
    values = np.linspace(1, 5, 300)
    operator = LambdaOperator(lambda v: v * torch.from_numpy(values).float(), 300)
    found, _ = deflated_power_iteration(operator, 3, use_gpu=False)
    np.testing.assert_allclose(found, values[:-4:-1], atol=2e-3)


def test_what_did_not_settle_is_said():
    values = torch.linspace(1, 5, 300)
    operator = LambdaOperator(lambda v: v * values, 300)
    with pytest.warns(UserWarning, match=r"did not settle in 5 steps .* Lanczos"):
        power_iteration(operator, steps=5, use_gpu=False)
    with pytest.warns(UserWarning, match=r"3 of 3 eigenvalues did not settle .* Lanczos"):
        deflated_power_iteration(operator, 3, power_iter_steps=5, use_gpu=False)
    with pytest.raises(ValueError, match="0 steps"):
        power_iteration(operator, steps=0)


def test_a_diverged_network_has_no_eigenvalues():
    operator = LambdaOperator(lambda v: v * float("nan"), 30)
    with pytest.warns(UserWarning, match="no numbers"):
        assert np.isnan(lanczos(operator, 2)[0]).all()
    with pytest.warns(UserWarning, match="did not settle"):
        assert np.isnan(power_iteration(operator, use_gpu=False)[0])


def test_iteration_ends_when_the_residual_says_so():
    calls = []
    values = torch.tensor([4.0, 1.0, 0.5, 0.1])

    def product(v):
        calls.append(1)
        return values * v

    value, vector = power_iteration(LambdaOperator(product, 4), use_gpu=False)
    assert len(calls) < 20
    assert value == pytest.approx(4)
    assert torch.linalg.vector_norm(values * vector - value * vector) < 1e-4


@pytest.mark.parametrize(("size", "shuffled"), [(200, False), (64, False), (96, False), (96, True)])
@pytest.mark.parametrize("max_samples", [512, 50])
def test_the_hessian_of_a_network_whatever_the_batches(size, shuffled, max_samples):
    model, (x, y) = small_network(), samples()
    order = torch.randperm(200, generator=torch.Generator().manual_seed(3)) if shuffled else None
    operator = HVPOperator(
        model, loader(x, y, size, order), functional.cross_entropy, max_samples=max_samples
    )
    assert operator.size == 124
    columns = torch.stack([operator.apply(unit) for unit in torch.eye(124)])
    torch.testing.assert_close(columns, exact(model, x, y), atol=1e-5, rtol=1e-4)


def test_the_original_weighed_uneven_batches_alike():
    model, (x, y) = small_network(), samples()
    v = torch.ones(124)
    right, wrong = (
        HVPOperator(model, loader(x, y, 96), functional.cross_entropy, compat=compat).apply(v)
        for compat in (False, True)
    )
    parts = [HVPOperator(model, [part], functional.cross_entropy).apply(v) for part in loader(x, y, 96)]
    torch.testing.assert_close(wrong, sum(parts) / 3)
    assert (right - wrong).abs().max() > 1e-3


def test_products_are_symmetric():
    model, (x, y) = small_network(), samples()
    operator = HVPOperator(model, loader(x, y, 64), functional.cross_entropy)
    u, v = torch.randn(2, 124, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(u @ operator.apply(v), v @ operator.apply(u), rtol=1e-4, atol=1e-5)


def test_gradients_and_one_batch_alone():
    model, (x, y) = small_network(), samples()
    batches = loader(x, y, 64)
    operator = HVPOperator(model, batches, functional.cross_entropy, full_dataset=False)
    loss = functional.cross_entropy(model(batches[0][0]), batches[0][1])
    want = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(model.parameters()))])
    torch.testing.assert_close(operator.prepare_grad(), want)
    assert all(p.grad is None for p in model.parameters())
    loss = functional.cross_entropy(model(batches[0][0]), batches[0][1])
    loss.backward()
    operator.zero_grad()
    assert all(p.grad is None for p in model.parameters())


class MultiHead(nn.Module):
    """Wants a task, and has a parameter that no loss depends on."""

    def __init__(self):
        super().__init__()
        self.body, self.heads = nn.Linear(10, 6), nn.ModuleList([nn.Linear(6, 4), nn.Linear(6, 4)])
        self.norm, self.unused = nn.BatchNorm1d(6), nn.Parameter(torch.ones(3))

    def forward(self, x, task):
        return self.heads[task](torch.tanh(self.norm(self.body(x))))


def test_tasks_unused_parameters_and_batch_normalisation():
    torch.manual_seed(0)
    model, (x, y) = MultiHead(), samples()
    model.train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    values, vectors = compute_hessian_eigenthings(
        model, loader(x, y, 64), functional.cross_entropy, 2, forward_fn=lambda m, inputs: m(inputs, 1)
    )
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.named_buffers())
    assert np.isfinite(values).all()
    names = [(name, p.numel()) for name, p in model.named_parameters()]
    at = 0
    for name, n in names:
        if name == "unused" or name.startswith("heads.0"):
            assert not vectors[:, at : at + n].any()
        at += n


@pytest.mark.parametrize("mode", ["power_iter", "lanczos"])
def test_the_public_function_finds_the_top_of_a_network(mode):
    model, (x, y) = small_network(), samples()
    want = torch.linalg.eigvalsh(exact(model, x, y))
    top = want[want.abs().argsort(descending=True)[:3]].sort().values
    options = {"power_iter_err_threshold": 1e-3} if mode == "power_iter" else {}
    values, vectors = compute_hessian_eigenthings(
        model, loader(x, y, 96), functional.cross_entropy, 3, mode=mode, use_gpu=False, **options
    )
    np.testing.assert_allclose(np.sort(values), top.numpy(), rtol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)
    again, _ = compute_hessian_eigenthings(
        model, loader(x, y, 96), functional.cross_entropy, 3, mode=mode, use_gpu=False, **options
    )
    np.testing.assert_array_equal(values, again)


def test_the_sign_of_an_eigenvalue_and_the_order_are_kept():
    operator = LambdaOperator(lambda v: v * torch.tensor([-3.0, 2.0, 1.0]), 3)
    assert deflated_power_iteration(operator, 3)[0] == pytest.approx([-3, 2, 1], abs=1e-3)
    assert deflated_power_iteration(operator, 3, sort="value")[0] == pytest.approx([2, 1, -3], abs=1e-3)
    value, vector = power_iteration(operator, init_vec=torch.tensor([0.0, 0.0, 5.0]))
    assert value == pytest.approx(1)
    assert vector.tolist() == [0, 0, 1]


def test_an_operator_that_maps_all_to_nothing():
    values, vectors = deflated_power_iteration(LambdaOperator(torch.zeros_like, 4), 2)
    assert values.tolist() == [0, 0]
    assert np.linalg.matrix_rank(vectors) == 2


def test_the_zero_operator_by_lanczos_and_its_density():
    operator = LambdaOperator(torch.zeros_like, 30)
    values, vectors = lanczos(operator, 2)
    assert values.tolist() == [0, 0]
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(2), atol=1e-12)
    nodes, weights = spectral_density(operator, 2, 4)
    assert not nodes.any()
    assert weights.sum() == pytest.approx(1)
    # A start that this operator maps to nothing is not the whole of it.
    some = LambdaOperator(lambda v: v * torch.tensor([0.0, 2.0, 1.0, 0.5]), 4)
    assert lanczos(some, 2, init_vec=np.array([1.0, 0, 0, 0]))[0].tolist() == pytest.approx([1, 2])


def test_the_density_has_the_matrixs_moments():
    a = symmetric(40)
    nodes, weights = spectral_density(LambdaOperator(lambda v: a @ v, 40), probes=200, steps=15)
    assert weights.sum() == pytest.approx(1)
    values = torch.linalg.eigvalsh(a).numpy()
    assert (weights * nodes).sum() == pytest.approx(values.mean(), abs=0.3)
    assert (weights * nodes**2).sum() == pytest.approx((values**2).mean(), rel=0.1)
    assert nodes.min() == pytest.approx(values.min(), rel=0.05)
    assert nodes.max() == pytest.approx(values.max(), rel=0.05)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda m, d: compute_hessian_eigenthings(m, d, None, mode="qr"), "one of power_iter"),
        (lambda m, d: HVPOperator(m, [], functional.cross_entropy), "no samples"),
        (lambda m, d: HVPOperator(nn.Tanh(), d, functional.cross_entropy), "0 trainable parameters"),
        (lambda m, d: HVPOperator(m, d, functional.cross_entropy).apply(torch.ones(3)), "takes"),
        (lambda m, d: compute_hessian_eigenthings(m, d, functional.cross_entropy, 125), "125 eigenpairs"),
        (lambda m, d: power_iteration(LambdaOperator(lambda v: v, 3), init_vec=torch.zeros(3)), "no length"),
        (lambda m, d: lanczos(LambdaOperator(lambda v: v, 3), 3), "fewer"),
        (lambda m, d: spectral_density(LambdaOperator(lambda v: v, 3), probes=0), "probes 0"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(call, reason):
    with pytest.raises(ValueError, match=reason):
        call(small_network(), loader(*samples(20), 10))
