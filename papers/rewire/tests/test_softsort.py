"""Differentiable sorting: exact permutations forwards, soft gradients backwards."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rewire_repro import alignment
from rewire_repro.softsort import (
    amplified,
    even_scores,
    hard_permutation,
    permute,
    scores_of,
    soft_permutation,
    straight_through,
)

CPU = torch.device("cpu")


def random_scores(n=7, seed=0):
    return torch.rand(n, generator=torch.Generator().manual_seed(seed))


def is_permutation(p):
    ones = torch.ones(len(p))
    return torch.equal(p.sum(0), ones) and torch.equal(p.sum(1), ones) and bool(((p == 0) | (p == 1)).all())


def test_the_hard_part_sorts():
    v = random_scores()
    soft, order = soft_permutation(v, 0.5)
    hard = hard_permutation(order)
    assert is_permutation(hard)
    assert torch.equal(hard @ v, v.sort().values)
    z = torch.randn(4, 7, generator=torch.Generator().manual_seed(2))
    assert torch.equal(z @ hard.T, z[:, v.argsort()])
    assert torch.allclose(soft.sum(1), torch.ones(7))


def test_the_soft_part_by_hand_and_at_both_ends_of_tau():
    v = torch.tensor([0.3, 0.1])
    soft, _ = soft_permutation(v, 0.2)
    a = torch.exp(torch.tensor(-1.0))  # |0.1 - 0.3| / 0.2
    assert torch.allclose(soft, torch.tensor([[a, 1.0], [1.0, a]]) / (1 + a))
    v = random_scores()
    assert torch.allclose(soft_permutation(v, 1e-4)[0], hard_permutation(v.argsort()), atol=1e-6)
    assert torch.allclose(soft_permutation(v, 1e6)[0], torch.full((7, 7), 1 / 7), atol=1e-5)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
@settings(deadline=None, max_examples=50)
def test_tied_scores_still_make_a_permutation(values):
    assert is_permutation(
        hard_permutation(soft_permutation(torch.tensor(values, dtype=torch.float32), 0.1)[1])
    )


def test_large_and_sharp_has_no_nan():
    v = random_scores(256).requires_grad_()
    soft, order = soft_permutation(v, 1e-3)
    z = torch.randn(5, 256)
    permute(z, soft, order).square().sum().backward()
    assert bool(torch.isfinite(v.grad).all())


def test_straight_through_has_the_gradient_of_the_soft_part():
    v = random_scores().double().requires_grad_()
    weight = torch.randn(7, 7, dtype=torch.float64)
    matrix = straight_through(*soft_permutation(v, 0.3))
    assert is_permutation(matrix.detach().round(decimals=9).float())
    (gradient,) = torch.autograd.grad((matrix * weight).sum(), v)
    for i in range(7):
        step = torch.zeros(7, dtype=torch.float64)
        step[i] = 1e-6
        with torch.no_grad():
            up, down = (soft_permutation(v + s, 0.3)[0] for s in (step, -step))
            assert gradient[i] == pytest.approx(float(((up - down) * weight).sum() / 2e-6), abs=1e-6)


def test_permute_is_the_straight_through_product():
    z, v = torch.randn(4, 7).requires_grad_(), random_scores().requires_grad_()
    weight = torch.randn(4, 7)
    soft, order = soft_permutation(v, 0.3)
    slow = torch.autograd.grad((z @ straight_through(soft, order).T * weight).sum(), (z, v))
    soft, order = soft_permutation(v, 0.3)
    y = permute(z, soft, order)
    assert torch.equal(y, z[:, order])
    fast = torch.autograd.grad((y * weight).sum(), (z, v))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(slow, fast, strict=True))


def test_amplified_keeps_the_value_and_multiplies_the_gradient():
    v = random_scores().requires_grad_()
    out = amplified(v, 3)
    assert torch.allclose(out, v, atol=1e-6)
    out.sum().backward()
    assert torch.equal(v.grad, torch.full((7,), 3.0))


def test_scores_of_an_order_sort_into_it():
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(scores_of(order).argsort(), order)
    assert torch.equal(even_scores(5, CPU).argsort(), torch.arange(5))


def test_alignment_term_is_a_squared_distance_for_hard_permutations():
    w, old = torch.randn(4, 5), torch.randn(4, 5)
    c, a = hard_permutation(torch.randperm(4)), hard_permutation(torch.randperm(5))
    moved = alignment.aligned(old, c, a)
    assert float(alignment.term(w, moved) + old.square().sum()) == pytest.approx(
        float((w - c.T @ old @ a).square().sum()), rel=1e-5
    )
    assert float(alignment.term(moved, moved) + old.square().sum()) == pytest.approx(0, abs=1e-4)
    assert float(alignment.squared_distance(moved, moved)) == 0
