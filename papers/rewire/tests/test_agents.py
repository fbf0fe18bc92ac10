"""Oracles of the eight peer methods: what is frozen stays, penalties and shares are exact."""

import copy

import numpy as np
import pytest
import torch

from clrepro.errors import UsageError
from rewire_repro import config
from rewire_repro.agents import AGENTS
from rewire_repro.agents.ewc import FLOOR, fisher_diagonal
from rewire_repro.flat import FlatAdam
from rewire_repro.networks import Net, sizes

KINDS = [name for name in AGENTS if name != "RewireActionAgent"]


def train(policy, obs, steps=5, lr=1e-2):
    """A few steps of Adam towards outputs of one."""
    adam = FlatAdam(policy.trainable(), lr, free=policy.free())
    context = policy.sample(len(obs), "new") if policy.context_width else None
    for _ in range(steps):
        loss = (policy.forward(obs, context) - 1).square().sum()
        extra = policy.regularizer(obs, torch.zeros(1))
        adam.minimise(loss if extra is None else loss + extra)
    adam.release()


def task(policy, obs, **kwargs):
    """One whole task."""
    policy.set_task(None)
    train(policy, obs, **kwargs)
    if hasattr(policy, "add_fisher"):
        policy.add_fisher(obs)
    if hasattr(policy, "prune"):
        policy.prune()
        train(policy, obs, **kwargs)
    if hasattr(policy, "choose"):
        policy.choose(np.full(len(policy.anchors), 1 / len(policy.anchors)), keep=True)
    policy.set_task(-1)


@pytest.mark.parametrize(
    "name", ["FromScratchActionAgent", "MultiActionAgent", "PNNActionAgent", "PacknetActionAgent"]
)
def test_old_tasks_are_bit_identical_after_later_training(agent, obs, name):
    policy = agent(name)
    task(policy, obs)
    task(policy, obs)
    before = [policy.actor(0)(obs), policy.actor(1)(obs)]
    task(policy, obs, lr=0.1)
    task(policy, obs, lr=0.1)
    assert torch.equal(policy.actor(0)(obs), before[0])
    assert torch.equal(policy.actor(1)(obs), before[1])
    assert not torch.equal(policy.actor(3)(obs), before[1])


@pytest.mark.parametrize("name", list(AGENTS))
def test_a_state_brings_everything_back(agent, obs, name):
    policy, other = agent(name), agent(name, seed=7)
    for _ in range(2):
        if name == "RewireActionAgent":
            policy.set_task(None)
            policy.consolidate()
            policy.set_task(-1)
        else:
            task(policy, obs)
    policy.set_task(None)
    other.load(policy.state())
    assert all(torch.equal(other.actor(t)(obs), policy.actor(t)(obs)) for t in (None, 0, 1, 3))
    assert other.numel() == policy.numel()


def test_copies_and_fresh_networks(agent, obs):
    copied, fresh = agent("MultiActionAgent"), agent("FromScratchActionAgent")
    for policy in (copied, fresh):
        task(policy, obs)
        policy.set_task(None)
    assert torch.equal(copied.actor(1)(obs), copied.actor(0)(obs))
    assert not torch.equal(fresh.actor(1)(obs), fresh.actor(0)(obs))
    assert torch.equal(fresh.actor(3)(obs), fresh.actor(1)(obs))  # unseen: the last one


@pytest.mark.parametrize("name", ["L2ActionAgent", "EWCActionAgent"])
def test_penalties_and_their_gradients(agent, obs, name):
    coeff = {"L2ActionAgent": {"l2_coeff": 5.0}, "EWCActionAgent": {"fisher_coeff": 5.0}}[name]
    policy = agent(name, **coeff)
    assert policy.regularizer(obs, None) is None
    task(policy, obs)
    tensors = policy.trainable()
    for one in tensors:
        one.requires_grad_(True)
    assert float(policy.regularizer(obs, None).detach()) == 0
    anchor = [one.detach().clone() for one in tensors]
    for one in tensors:
        one.data = one.data + 0.3
    grads = torch.autograd.grad(policy.regularizer(obs, None), tensors)
    weights = policy.fisher if name == "EWCActionAgent" else [torch.ones_like(one) for one in tensors]
    for grad, weight, one, old in zip(grads, weights, tensors, anchor, strict=True):
        assert torch.allclose(grad, 2 * 5.0 * weight * (one.detach() - old), rtol=1e-5)


def linear_policy(n_in, n_actions, log_sigma):
    """mu = W o, log sigma constant: one linear layer."""
    weight = torch.zeros(2 * n_actions, n_in)
    weight[:n_actions] = torch.randn(n_actions, n_in, generator=torch.Generator().manual_seed(0))
    bias = torch.cat([torch.zeros(n_actions), torch.full((n_actions,), log_sigma)])
    return Net([weight], [bias])


@pytest.mark.parametrize("n_actions", [2, 3])
def test_fisher_of_a_linear_gaussian_policy_in_closed_form(n_actions):
    log_sigma, o = -0.5, torch.tensor([[0.7, -1.3]])
    weight, bias = fisher_diagonal(linear_policy(2, n_actions, log_sigma), o, n_actions)
    variance = float(np.exp(2 * log_sigma))
    assert torch.allclose(weight[:n_actions], (o**2 / variance).expand(n_actions, -1), rtol=1e-4)
    assert torch.allclose(bias[n_actions:], torch.full((n_actions,), 2.0), rtol=1e-4)  # of log sigma


def test_fisher_is_the_mean_squared_score():
    rng = torch.Generator().manual_seed(3)
    net, o = Net.make([2, 4, 4, 4, 4], rng), torch.randn(1, 2, generator=rng)
    found = torch.cat([one.reshape(-1) for one in fisher_diagonal(net, o, 2)])
    parameters = [one.detach() for one in net.tensors()]
    mu, log_sigma = net(o)[0].chunk(2)
    actions = mu + log_sigma.exp() * torch.randn(20_000, 2, generator=rng)

    def log_density(tensors, action):
        m, s = net.rebuilt(tensors)(o)[0].chunk(2)
        return (-0.5 * ((action - m) / s.exp()) ** 2 - s).sum()

    parts = torch.func.vmap(torch.func.grad(log_density), in_dims=(None, 0))(parameters, actions)
    squares = torch.cat([part.reshape(len(actions), -1) for part in parts], dim=1).square()
    mean, se = squares.mean(0), squares.std(0) / len(actions) ** 0.5
    assert float(((mean.clamp(min=FLOOR) - found).abs() / (se + 1e-6)).max()) < 5  # 70 numbers at once


def test_fisher_is_clamped_per_sample_and_adds_up_over_tasks(agent, obs):
    policy = agent("EWCActionAgent")
    task(policy, obs)
    first = [one.clone() for one in policy.fisher]
    assert min(float(one.min()) for one in first) >= FLOOR * (1 - 1e-6)
    policy.add_fisher(obs)
    again = fisher_diagonal(policy.net, obs, 3)
    assert all(torch.allclose(f, a + b) for f, a, b in zip(policy.fisher, first, again, strict=True))


def test_the_originals_fisher_takes_other_outputs():
    net, o = linear_policy(2, 3, -0.5), torch.tensor([[0.7, -1.3]])
    weight, _ = fisher_diagonal(net, o, 3, faithful=True)
    assert float(weight[3:].max()) <= FLOOR * 1.01  # log sigma is never looked at


@pytest.mark.parametrize("n_tasks", [3, 4, 10])
def test_packnet_shares_every_tensor_equally(agent, obs, n_tasks):
    policy = agent("PacknetActionAgent", n_tasks=n_tasks, hidden_size=10)
    for k in range(n_tasks):
        task(policy, obs, steps=1)
        for one, owner in zip([*policy.net.weights, *policy.net.biases], policy.owner, strict=True):
            mine = int((owner == k).sum())
            assert abs(mine - one.numel() / n_tasks) <= 1
            assert bool((one[owner == -1] == 0).all())
    assert all(int((owner == -1).sum()) == 0 for owner in policy.owner)


def test_packnet_claims_the_largest_free_weights(agent, obs):
    policy = agent("PacknetActionAgent", n_tasks=4)
    task(policy, obs, steps=1)
    policy.set_task(None)
    free = policy.owner[1] == -1
    values = policy.net.weights[1].detach().abs()
    policy.prune()
    assert float(values[policy.owner[1] == 1].min()) >= float(values[free & (policy.owner[1] == -1)].max())


def test_packnet_moves_only_what_is_free_though_adam_has_momentum(agent, obs):
    policy = agent("PacknetActionAgent", n_tasks=4)
    task(policy, obs)
    policy.set_task(None)
    frozen = [owner >= 0 for owner in policy.owner]
    before = [one.detach().clone() for one in policy.trainable()]
    adam = FlatAdam(policy.trainable(), 0.1, free=policy.free())
    adam.step(torch.ones_like(adam.flat))
    for _ in range(3):
        adam.minimise((policy.forward(obs, None) - 1).square().sum())
    for one, old, still in zip(policy.trainable(), before, frozen, strict=False):
        assert torch.equal(one.detach()[still], old[still])
        assert not torch.equal(one.detach()[~still], old[~still])


def test_the_originals_packnet_gives_an_eighth_and_restarts_from_zero(agent, obs):
    policy = agent("PacknetActionAgent", n_tasks=4, faithful=True)
    task(policy, obs, steps=1)
    assert int((policy.owner[1] == 0).sum()) == 64 - int(64 * 0.875)
    policy.set_task(None)
    assert bool((policy.net.weights[1][policy.owner[1] == -1] == 0).all())


def test_pnn_counts_parameters_and_keeps_negative_means(agent, obs):
    policy = agent("PNNActionAgent", n_in=17, n_actions=6, hidden_size=96, n_tasks=8)
    for _ in range(8):
        policy.set_task(None)
        policy.set_task(-1)
    assert policy.numel()["inference"] / 139_276 == pytest.approx(7.8, abs=0.05)
    first, faithful = agent("PNNActionAgent"), agent("PNNActionAgent", faithful=True)
    plain = Net(first.columns[0][:4], first.columns[0][4:])(obs)
    assert torch.allclose(first.forward(obs, None), plain)
    assert bool((plain < 0).any())
    assert torch.allclose(faithful.forward(obs, None), torch.nn.functional.leaky_relu(plain, 0.2))


def test_pnn_lateral_connections_by_hand(agent, obs):
    policy = agent("PNNActionAgent")
    policy.set_task(None)
    policy.set_task(None)
    one, two = policy.columns
    phi = lambda x: torch.nn.functional.leaky_relu(x, 0.2)  # noqa: E731
    x, h = phi(obs @ two[0].T + two[4]), phi(obs @ one[0].T + one[4])
    for i in (1, 2, 3):
        v, a, u, bias = two[8 + 4 * (i - 1) : 12 + 4 * (i - 1)]
        y = x @ two[i].T + two[4 + i] + phi((a * h) @ v.T) @ u.T + bias
        h = phi(h @ one[i].T + one[4 + i])
        x = y if i == 3 else phi(y)
    assert torch.allclose(policy.forward(obs, None), x, atol=1e-6)
    assert {id(t) for t in policy.trainable()}.isdisjoint(id(t) for t in one)


@pytest.mark.parametrize("name", KINDS)
def test_actors_are_deterministic_and_frozen(agent, obs, name):
    policy = agent(name)
    task(policy, obs)
    act = policy.actor(0)
    before, rngs = act(obs), str(policy.rngs.state())
    assert torch.equal(act(obs), before)
    assert before.shape == (6, 3)
    assert str(policy.rngs.state()) == rngs


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"colour": 1}, "colour"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"input_dimension": 6}, "the scenario has 5"),
    ],
)
def test_bad_values_are_named(agent, values, said):
    with pytest.raises(UsageError, match=said):
        agent("ActionAgent", **copy.deepcopy(values))


@pytest.mark.parametrize(("domain", "n_in", "n_actions", "size"), [
    ("halfcheetah", 17, 6, 139_276), ("ant", 27, 8, 142_864), ("humanoid", 244, 17, 203_042),
    ("cw", 39, 4, 143_880),
])  # fmt: skip
def test_policy_sizes_of_the_contract(domain, n_in, n_actions, size):
    rng = torch.Generator().manual_seed(0)
    assert Net.make(sizes(n_in, 256, 2 * n_actions), rng).numel() == size


def test_every_method_names_a_class_that_exists(composed):
    for method in config.METHODS:
        assert composed(method).policy_class in AGENTS
