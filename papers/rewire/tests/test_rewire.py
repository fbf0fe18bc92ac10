"""The rewire policy: what its wirings, slots, consolidation and roll-back promise."""

import pytest
import torch

from clrepro.errors import UsageError
from rewire_repro.networks import Net
from rewire_repro.softsort import hard_permutation

NAME = "RewireActionAgent"


def scramble(policy, seed=0):
    """Random scores in every mode and alignment, and random weights."""
    rng = torch.Generator().manual_seed(seed)
    for v in [*policy.scores, *policy.out, *policy.into]:
        v.data = torch.rand(v.shape, generator=rng)
    for one in (tensor for layer in policy.layers for tensor in layer):
        one.data = torch.randn(one.shape, generator=rng)


def finish(policy):
    policy.consolidate()
    policy.set_task(-1)


def learn(policy, tasks, seed=0):
    for task in range(tasks):
        policy.set_task(None)
        scramble(policy, seed + task)
        finish(policy)


def test_at_the_start_every_mode_is_the_plain_network(agent, obs):
    policy = agent(NAME, beta=0.1, k=3)
    weights, biases = zip(*policy.layers, policy.heads[0], strict=True)
    plain = Net(weights, biases)(obs)
    assert all(torch.allclose(policy._hard(obs, mode), plain) for mode in range(3))
    assert torch.allclose(policy.actor()(obs), plain[:, :3])


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_training_forward_has_gradients_for_the_drawn_mode_alone(agent, obs, beta):
    policy = agent(NAME, beta=beta, k=3, tau=0.5)
    policy.set_task(None)
    for one in policy.trainable():
        one.requires_grad_(True)
    out = policy.forward(obs, None)
    grads = torch.autograd.grad(out.square().sum(), policy.scores)
    for grad in grads:
        rows = grad.abs().sum(1) > 0
        assert rows.tolist() == [mode == policy.mode for mode in range(3)]


def test_modes_are_drawn_evenly_and_gradients_are_multiplied_by_their_number(agent, obs):
    policy = agent(NAME, beta=0.1, k=4)
    drawn = torch.bincount(torch.tensor([policy._draw_mode() for _ in range(4000)]), minlength=4)
    assert float((drawn - 1000).abs().max()) < 120
    one = agent(NAME, beta=1e-9, k=1, tau=0.5)
    many = agent(NAME, beta=1e-9, k=5, tau=0.5)
    sums = []
    for policy in (one, many):
        for v in policy.scores:
            v.requires_grad_(True)
        grads = torch.autograd.grad(policy.forward(obs, None).square().sum(), policy.scores)
        sums.append(torch.stack([grad.sum(0) for grad in grads]))
    assert torch.allclose(sums[1], 5 * sums[0], rtol=1e-4, atol=1e-6)


def test_permuting_neurons_and_scores_together_changes_nothing(agent, obs):
    policy = agent(NAME, beta=0.1)
    scramble(policy)
    before = policy._hard(obs, 0)
    q = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    w, b = policy.layers[1]
    policy.layers[1] = (w[q], b[q])
    policy.scores[1] = policy.scores[1][:, q]
    assert torch.allclose(policy._hard(obs, 0), before, atol=1e-6)


def test_the_folded_network_is_the_permuted_one(agent, obs):
    policy = agent(NAME, beta=0.1)
    scramble(policy)
    assert torch.allclose(policy.mode_actor(1)(obs), policy._hard(obs, 1)[:, :3], atol=1e-5)


@pytest.mark.parametrize("rewire_last", ["expand", False, True])
@pytest.mark.parametrize(("slots", "layer_norm"), [(1, False), (2, True), (4, False)])
def test_cached_wirings_survive_a_consolidation_with_exactly_aligned_weights(
    agent, obs, slots, layer_norm, rewire_last
):
    policy = agent(NAME, beta=0.1, cycle=-1, rewire_last=rewire_last, layer_norm=layer_norm)
    learn(policy, 1)
    for task in range(1, slots):  # more slots, without moving the weights
        policy.set_task(None)
        policy.scores = [
            torch.rand(v.shape, generator=torch.Generator().manual_seed(task)) for v in policy.scores
        ]
        finish(policy)
    before = [policy.actor(task)(obs) for task in range(slots)]
    policy.set_task(None)
    rng = torch.Generator().manual_seed(9)
    policy.out = [torch.rand(v.shape, generator=rng) for v in policy.out]
    policy.into = [torch.rand(v.shape, generator=rng) for v in policy.into]
    c = [hard_permutation(v.argsort()) for v in policy.out]
    a = [torch.eye(5), *(hard_permutation(v.argsort()) for v in policy.into)]
    old = list(policy.old)
    policy.layers = [
        (c[i].T @ old[i][0] @ a[i], *(c[i].T @ vector for vector in old[i][1:])) for i in range(3)
    ]
    if rewire_last is True:
        policy.heads[0] = (old[3][0] @ a[3], old[3][1])
    distance = policy.regularizer(obs, torch.zeros(6, 6))
    assert float(policy.distance) == pytest.approx(0, abs=1e-8)
    assert distance is not None
    policy.consolidate()
    for task in range(slots):
        assert torch.allclose(policy.actor(task)(obs), before[task], atol=1e-5)


def test_without_alignment_the_regulariser_pulls_as_ft_l2_does(agent, obs):
    policy = agent(NAME, beta=0.1, divergence=0.0, coeff=7.0, align=False)
    learn(policy, 1)
    policy.set_task(None)
    tensors = [one for layer in policy.layers for one in layer]
    for one in tensors:
        one.data = one.data + 0.1
        one.requires_grad_(True)
    grads = torch.autograd.grad(policy.regularizer(obs, torch.zeros(6, 6)), tensors)
    assert all(torch.allclose(grad, torch.full_like(grad, 2 * 7.0 * 0.1), atol=1e-3) for grad in grads)


def test_divergence_is_the_originals_sum_at_its_batch_size(agent):
    policy = agent(NAME, beta=0.1, divergence=1e-3, divergence_batch=3, k=2, tau=0.5)
    policy.set_task(None)
    scramble(policy)
    obs = torch.randn(6, 5, generator=torch.Generator().manual_seed(4))  # 2 · 3 rows: obs and next_obs
    with torch.no_grad():
        outputs = policy.forward(obs, None)
        found = policy.regularizer(obs, outputs)
    other = policy._hard(obs, 1 - policy.mode)
    mu, log_sigma = outputs.chunk(2, dim=-1)
    mu_2, log_sigma_2 = other.chunk(2, dim=-1)
    squares = (mu - mu_2.clamp(-20, 20)) ** 2 + (log_sigma.clamp(-20, 2) - log_sigma_2.clamp(-20, 2)) ** 2
    assert float(found) == pytest.approx(1e-3 * float(squares.sum()), rel=1e-4)


def test_roll_back_restores_every_output_and_shares_nothing(agent, obs):
    policy = agent(NAME, beta=0.1, cycle=-1)
    learn(policy, 1)
    policy.set_task(None)
    before = [policy.mode_actor(mode)(obs) for mode in range(3)]
    scramble(policy, seed=5)
    policy.heads[policy.head][0].data += 1
    assert not torch.allclose(policy.mode_actor(0)(obs), before[0])
    policy.roll_back()
    assert all(torch.equal(policy.mode_actor(mode)(obs), before[mode]) for mode in range(3))
    held = policy.before
    policy.layers[0][0].data += 1
    assert not torch.allclose(torch.from_numpy(held["layers"][0]), policy.layers[0][0])


def test_slots_and_heads(agent, obs):
    policy = agent(NAME, cycle=4, n_tasks=8)
    learn(policy, 8)
    assert (len(policy.heads), len(policy.wirings)) == (4, 4)
    assert policy.slot_of(5) == 1
    assert torch.equal(policy.actor(5)(obs), policy.actor(1)(obs))
    every = agent(NAME, cycle=-1, n_tasks=8)
    learn(every, 3)
    assert (len(every.heads), len(every.wirings), every.slot_of(7)) == (3, 3, 2)
    learn(every, 5, seed=3)
    assert len(every.heads) == 8


def test_a_known_slot_starts_from_its_wiring_and_a_new_one_from_the_current_scores(agent):
    policy = agent(NAME, cycle=2)
    learn(policy, 2)
    first = [wiring.clone() for wiring in policy.wirings[0]]
    policy.set_task(None)
    assert all(
        torch.equal(v[mode].argsort(), w)
        for v, w in zip(policy.scores, first, strict=True)
        for mode in range(3)
    )
    new = agent(NAME, cycle=-1)
    learn(new, 1)
    current = [v.argsort(dim=-1) for v in new.scores]
    new.set_task(None)
    assert all(torch.equal(v.argsort(dim=-1), order) for v, order in zip(new.scores, current, strict=True))
    assert torch.allclose(new.scores[0].sort(dim=-1).values[0], torch.linspace(0, 1, 8))


def test_the_chosen_mode_is_cached_and_copied_to_all(agent):
    policy = agent(NAME)
    policy.set_task(None)
    scramble(policy)
    policy.best = 2
    wanted = [v[2].argsort() for v in policy.scores]
    finish(policy)
    assert all(torch.equal(w, order) for w, order in zip(policy.wirings[0], wanted, strict=True))
    assert all(torch.equal(v[0], v[1]) and torch.equal(v[1], v[2]) for v in policy.scores)


def test_evaluation_draws_nothing(agent, obs):
    policy = agent(NAME, beta=0.0)
    learn(policy, 2)
    state = torch.random.get_rng_state()
    before = policy.rngs.state()
    one, two = policy.actor(0)(obs), policy.actor(0)(obs)
    assert torch.equal(one, two)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert str(policy.rngs.state()) == str(before)


def test_sizes_of_the_contract(agent):
    policy = agent(NAME, n_in=17, n_actions=6, hidden_size=256, cycle=4, n_tasks=8)
    one = policy.numel()["inference"]
    assert one == 139_276
    for _ in range(4):
        policy.set_task(None)
        finish(policy)
    assert policy.numel()["inference"] / one == pytest.approx(1.066, abs=5e-4)


def test_a_state_brings_everything_back(agent, obs):
    policy = agent(NAME, cycle=-1, beta=0.1)
    learn(policy, 2)
    policy.set_task(None)
    scramble(policy, 8)
    other = agent(NAME, seed=5, cycle=-1, beta=0.1)
    other.load(policy.state())
    assert all(torch.equal(other.actor(t)(obs), policy.actor(t)(obs)) for t in (None, 0, 1, 2))
    other.rngs.load(policy.rngs.state())
    assert torch.equal(other.forward(obs, None), policy.forward(obs, None))
    other.roll_back()
    policy.roll_back()
    assert torch.equal(other.actor()(obs), policy.actor()(obs))


@pytest.mark.parametrize("values", [{"tau": 0.0}, {"cycle": 0}, {"rewire_last": "grow"}])
def test_bad_values_are_refused(agent, values):
    with pytest.raises(UsageError):
        agent(NAME, **values)
