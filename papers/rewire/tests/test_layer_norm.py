"""layer_norm: True, a layer norm and tanh after the first linear layer, in every method."""

import pytest
import torch
from torch.nn.functional import layer_norm, linear

from rewire_repro.agents import AGENTS
from rewire_repro.flat import FlatAdam
from rewire_repro.networks import TwinCritics


def second_layer_norm(x, weight, bias, scale, shift):
    return torch.tanh(layer_norm(linear(x, weight, bias), (len(bias),), scale, shift))


@pytest.mark.parametrize("name", list(AGENTS))
def test_every_policy_has_one_more_scale_and_shift_and_trains_them(agent, obs, name):
    plain, normed = agent(name), agent(name, layer_norm=True)
    for policy in (plain, normed):
        policy.set_task(None)
    assert normed.numel()["inference"] == plain.numel()["inference"] + 2 * 8
    own = {id(one) for one in normed.trainable()}
    before = [one.detach().clone() for one in normed.trainable()]
    adam = FlatAdam(normed.trainable(), 0.1, free=normed.free())
    adam.minimise(normed.forward(obs, torch.ones(6, 1)).square().sum())
    moved = [
        not torch.equal(a, b) for a, b in zip(normed.trainable(), before, strict=True) if a.shape == (8,)
    ]
    assert sum(moved) >= 5  # three biases, scale and shift
    assert {id(one) for one in normed.trainable()} == own
    other = agent(name, seed=3, layer_norm=True)
    other.set_task(None)
    other.load(normed.state())
    assert torch.equal(other.actor()(obs), normed.actor()(obs))


def test_the_first_layer_by_hand(agent, obs):
    policy = agent("ActionAgent", layer_norm=True)
    net = policy.net
    net.norm[0].uniform_(0.5, 2.0)
    net.norm[1].uniform_(-1.0, 1.0)
    x = second_layer_norm(obs, net.weights[0], net.biases[0], *net.norm)
    for i in (1, 2, 3):
        x = linear(x, net.weights[i], net.biases[i])
        x = torch.nn.functional.leaky_relu(x, 0.2) if i < 3 else x
    assert torch.allclose(policy.forward(obs, None), x, atol=1e-6)


def test_columns_of_pnn_have_their_own_and_old_ones_stay(agent, obs):
    policy = agent("PNNActionAgent", layer_norm=True)
    policy.set_task(None)
    old = policy.actor(0)(obs)
    policy.set_task(None)
    first, second = policy.columns
    assert len(second) == 8 + 3 * 4 + 2
    adam = FlatAdam(policy.trainable(), 0.1)
    for _ in range(3):
        adam.minimise(policy.forward(obs, None).square().sum())
    assert not torch.equal(first[-2], second[-2])
    assert torch.equal(policy.actor(0)(obs), old)


def test_combinations_of_csp_mix_scales_and_shifts(agent, obs):
    policy = agent("SubspaceActionAgent", n_initial_anchors=3, layer_norm=True)
    for anchor in policy.anchors:
        anchor.norm[0].uniform_(0.5, 2.0)
        anchor.norm[1].uniform_(-1.0, 1.0)
    alpha = torch.tensor([[0.2, 0.5, 0.3]])
    mixed = policy.forward(obs, alpha.expand(6, 3))
    assert torch.allclose(mixed, policy.folded(alpha[0].tolist())(obs), atol=1e-6)
    corner = torch.tensor([[0.0, 0.0, 1.0]]).expand(6, 3)
    assert torch.allclose(policy.forward(obs, corner), policy.anchors[2](obs), atol=1e-6)


def test_a_rewired_neuron_takes_its_scale_and_shift_along(agent, obs):
    policy = agent("RewireActionAgent", layer_norm=True, beta=0.1)
    for one in policy.layers[0][2:]:
        one.uniform_(0.5, 2.0)
    before = policy._hard(obs, 0)
    q = torch.randperm(8)
    policy.layers[0] = tuple(one[q] for one in policy.layers[0])
    for scores in policy.scores[:1]:
        scores.copy_(scores[:, q])
    assert torch.allclose(policy._hard(obs, 0), before, atol=1e-6)
    assert torch.allclose(policy.actor()(obs), before[:, :3], atol=1e-6)


def test_the_critics_are_two_normed_networks():
    twin = TwinCritics(6, 8, torch.Generator().manual_seed(0), norm=True)
    x = torch.randn(5, 6)
    for i in range(2):
        y = second_layer_norm(
            x, twin.weights[0][i].T, twin.biases[0][i, 0], twin.norm[0][i, 0], twin.norm[1][i, 0]
        )
        for j in (1, 2, 3):
            y = y @ twin.weights[j][i] + twin.biases[j][i]
            y = torch.nn.functional.leaky_relu(y, 0.2) if j < 3 else y
        assert torch.allclose(twin(x)[i], y[:, 0], atol=1e-6)
