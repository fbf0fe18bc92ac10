"""Wide layers through oneDNN: the values and gradients of plain torch, and the update of a plain loop."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn.functional import leaky_relu, linear

from rewire_repro import bench, dense
from rewire_repro.networks import TwinCritics

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
ROWS, N, M = 256, 160, 144


def leaf(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def agree(mine, theirs):
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4 * float(b.detach().abs().max()))


@pytest.mark.parametrize("slope", [None, 0.2])
def test_a_wide_layer_is_torchs(slope):
    x, weight, bias = leaf(ROWS, M), leaf(N, M, seed=1), leaf(N, seed=2)
    assert dense.worth_it(ROWS, weight)
    assert not dense.worth_it(8, weight)
    mine = dense.dense(x, weight, bias, slope)
    theirs = linear(x, weight, bias)
    theirs = theirs if slope is None else leaky_relu(theirs, slope)
    agree([mine], [theirs])
    leaves = (x, weight, bias)
    agree(*(torch.autograd.grad(y.square().sum(), leaves) for y in (mine, theirs)))


def test_two_wide_perceptrons_side_by_side_are_torchs():
    widths = (20, N, M, N, 1)
    weights = [leaf(2, m, n, seed=i).detach().div_(m**0.5) for i, (m, n) in enumerate(pairwise(widths))]
    biases = [leaf(2, 1, n, seed=9).detach() for n in widths[1:]]
    x, tensors = leaf(ROWS, 20, seed=8), [one.requires_grad_() for one in (*weights, *biases)]
    mine, theirs = dense.twins(x, weights, biases, 0.2), x.expand(2, ROWS, 20)
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        theirs = torch.baddbmm(bias, theirs, weight)
        theirs = leaky_relu(theirs, 0.2) if i < 3 else theirs
    agree([mine], [theirs])
    agree(*(torch.autograd.grad(y.square().sum(), [x, *tensors], retain_graph=True) for y in (mine, theirs)))
    held = dense.twins(x, weights, biases, 0.2, inputs_only=True)
    agree(*(torch.autograd.grad(y.square().sum(), [x], retain_graph=True) for y in (held, theirs)))
    assert torch.autograd.grad(held.sum(), tensors, allow_unused=True) == (None,) * 8
    assert mine.grad_fn.name() == "_TwinsBackward"


def test_gradients_of_narrow_critics_come_from_torch_alone():
    twin = TwinCritics(6, 8, torch.Generator().manual_seed(0))
    for one in twin.tensors():
        one.requires_grad_(True)
    x = leaf(5, 6)
    assert "Twins" not in str(twin(x).grad_fn.next_functions)
    assert torch.equal(twin(x), twin(x, inputs_only=True))


def test_only_the_gradients_asked_for_are_made():
    x, weight = leaf(ROWS, M), leaf(N, M, seed=1).detach()
    y = dense.dense(x, weight, None, 0.2)
    y.sum().backward()
    assert x.grad is not None
    assert weight.grad is None


@pytest.mark.parametrize(("hidden", "batch"), [(32, 64), (192, 256)])
def test_updates_are_those_of_the_straightforward_loop(hidden, batch, monkeypatch):
    ours, theirs, replay = bench.learners("full", hidden, batch)
    copy_weights(ours, theirs)
    values = dataclasses.replace(ours.values, policy_update_delay=2, target_update_delay=1)
    ours.values = theirs.values = values
    noise = torch.Generator().manual_seed(5)
    drawn = []

    def normal(stream, *shape):
        drawn.append(torch.randn(shape, generator=noise))
        return drawn[-1]

    monkeypatch.setattr(ours.rngs, "normal", normal)
    monkeypatch.setattr(torch, "randn_like", lambda mu: drawn.pop(0))
    for i in range(6):
        one = replay.sample(batch, np.random.default_rng(i))
        ours.update(one)
        theirs.update(one)
    assert not drawn
    policy = [
        one for layer in theirs.policy if hasattr(layer, "weight") for one in (layer.weight, layer.bias)
    ]
    mine = [one for pair in zip(ours.agent.net.weights, ours.agent.net.biases, strict=True) for one in pair]
    for a, b in zip(mine, policy, strict=True):
        assert float((a - b).detach().abs().max()) < 2e-3 * float(b.detach().abs().max())
    for twin, nets in ((ours.critic, theirs.critics), (ours.target, theirs.targets)):
        x = torch.randn(50, twin.weights[0].shape[1])
        assert torch.allclose(twin(x), torch.stack([net(x)[:, 0] for net in nets]), atol=2e-3)
    assert torch.allclose(ours.log_alpha, theirs.log_alpha, atol=1e-5)


def copy_weights(ours, theirs):
    """Give the straightforward loop the networks of ours."""

    def fill(module, weights, biases):
        layers = [layer for layer in module if hasattr(layer, "weight")]
        for layer, weight, bias in zip(layers, weights, biases, strict=True):
            layer.weight.data.copy_(weight)
            layer.bias.data.copy_(bias)

    fill(theirs.policy, ours.agent.net.weights, ours.agent.net.biases)
    for twin, nets in ((ours.critic, theirs.critics), (ours.target, theirs.targets)):
        for i, net in enumerate(nets):
            fill(net, [w[i].T for w in twin.weights], [b[i, 0] for b in twin.biases])
