"""Oracles of csp: combinations, anchors, and which of them act."""

import pytest
import torch


def test_csp_combinations_lie_on_the_simplex(agent):
    policy = agent("SubspaceActionAgent", dist_type="peaked")
    assert torch.equal(policy.sample(3, "new"), torch.ones(3, 1))
    policy.set_task(None)
    for _ in range(2):
        policy.choose([1.0] * len(policy.anchors), keep=True)
        policy.set_task(None)
    new, old = policy.sample(500, "new"), policy.sample(500, "old")
    for rows in (new, old):
        assert float(rows.min()) >= 0
        assert torch.allclose(rows.sum(1), torch.ones(500))
    assert bool((old[:, -1] == 0).all())
    assert float(new[:, -1].mean()) == pytest.approx(9 / 11, abs=0.03)  # Dirichlet(1, 1, 9)


def test_csp_layers_by_hand(agent, obs):
    policy = agent("SubspaceActionAgent", n_initial_anchors=3)
    corner = torch.tensor([[0.0, 1.0, 0.0]]).expand(6, 3)
    assert torch.allclose(policy.forward(obs, corner), policy.anchors[1](obs), atol=1e-6)
    alpha = torch.tensor([[0.2, 0.5, 0.3]])
    assert torch.allclose(
        policy.forward(obs, alpha.expand(6, 3)), policy.folded(alpha[0].tolist())(obs), atol=1e-6
    )


def test_a_new_anchor_changes_no_policy_and_may_go_again(agent, obs):
    policy = agent("SubspaceActionAgent", n_initial_anchors=2)
    policy.set_task(None)
    policy.choose([0.3, 0.7], keep=True)
    uniform = policy.folded([0.5, 0.5])(obs)
    first = policy.actor(0)(obs)
    policy.set_task(None)
    assert len(policy.anchors) == 3
    assert torch.allclose(policy.folded([0.0, 0.0, 1.0])(obs), uniform, atol=1e-6)
    assert torch.allclose(policy.actor(0)(obs), first, atol=1e-6)
    assert len(policy.trainable()) == len(policy.anchors[-1].tensors())
    policy.choose([0.4, 0.6, 0.0], keep=False)
    assert (len(policy.anchors), policy.alphas) == (2, [[0.3, 0.7], [0.4, 0.6]])


def test_csp_acts_half_from_either_subspace_and_draws_anew_when_due(agent):
    policy = agent("SubspaceActionAgent", repeat_alpha=3)
    policy.set_task(None)
    policy.choose([1.0], keep=True)
    policy.set_task(None)
    none = torch.zeros(4, dtype=torch.bool)
    rows = [policy.acting_context(none) for _ in range(4)]
    assert torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[2], rows[3])
    assert rows[0][:, 1].tolist()[2:] == [0.0, 0.0]
    assert bool((rows[0][:2, 1] > 0).all())
    one = policy.acting_context(torch.tensor([True, False, False, False]))
    assert not torch.equal(one[0], rows[3][0])
    assert torch.equal(one[1:], rows[3][1:])
