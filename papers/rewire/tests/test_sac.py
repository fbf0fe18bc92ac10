"""Soft actor-critic: densities, targets, bootstrapping, averaging, and that it learns."""

import dataclasses

import numpy as np
import pytest
import torch

from rewire_repro.flat import FlatAdam
from rewire_repro.gaussian import split, squash
from rewire_repro.networks import Net, TwinCritics, sizes
from rewire_repro.replay import Batch, Replay
from rewire_repro.rng import Rngs
from rewire_repro.sac import Sac, target
from rewire_repro.train import Training

CPU = torch.device("cpu")


@pytest.fixture
def values(composed):
    return composed("ft_1", "scenario=toy/forgetting", "profile=quick").sac


def batch(n=4, terminated=0.0):
    obs, action = torch.randn(n, 4), torch.rand(n, 2)
    pair = torch.cat([obs, action], dim=1)
    return Batch(obs, torch.randn(n, 4), action, torch.ones(n), torch.full((n,), terminated), None, pair)


def test_the_density_integrates_to_one():
    mu, log_sigma = torch.tensor([[0.4]]), torch.tensor([[-0.3]])
    u = torch.linspace(-8, 8, 200_001)[:, None]
    noise = (u - mu) / log_sigma.exp()
    a, log_pi = squash(mu.expand_as(u), log_sigma.expand_as(u), noise)
    assert float(torch.trapezoid(log_pi.double().exp(), a[:, 0].double())) == pytest.approx(1, abs=1e-4)


def test_the_density_is_torchs():
    mu, log_sigma, noise = torch.randn(5, 3), torch.randn(5, 3) * 0.3, torch.randn(5, 3)
    a, log_pi = squash(mu, log_sigma, noise)
    law = torch.distributions.TransformedDistribution(
        torch.distributions.Normal(mu, log_sigma.exp()), torch.distributions.TanhTransform()
    )
    assert torch.allclose(log_pi, law.log_prob(a).sum(-1), atol=1e-3)
    faithful = squash(mu, log_sigma, noise, faithful=True)[1]
    u = mu + log_sigma.exp() * noise
    assert torch.allclose(faithful - log_pi, -(u + torch.nn.functional.softplus(-2 * u)).sum(-1), atol=1e-5)


def test_log_sigma_is_clipped():
    mu, log_sigma = split(torch.tensor([[1.0, 2.0, -50.0, 50.0]]))
    assert mu.tolist() == [[1.0, 2.0]]
    assert log_sigma.tolist() == [[-20.0, 2.0]]


def test_targets_by_hand(values):
    values = dataclasses.replace(values, reward_scaling=10.0, discount=0.9)
    q, log_pi, alpha = torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 3.0]), torch.tensor([0.5])
    y = target(values, batch(2), q, log_pi, alpha)
    assert torch.allclose(y, torch.tensor([10 + 0.9 * 1.5, 10 + 0.9 * 0.5]))
    assert torch.equal(target(values, batch(2, 1.0), q, log_pi, alpha), torch.tensor([10.0, 10.0]))
    mean = target(values, batch(2), q, log_pi, alpha, faithful=True)
    assert torch.allclose(mean, torch.tensor([10 + 0.9 * 0.5, 10 + 0.9 * 1.5]))
    with pytest.raises(AssertionError):
        target(values, batch(2), q, log_pi[:, None], alpha)


def test_the_two_critics_are_two_plain_networks():
    twin = TwinCritics(6, 8, torch.Generator().manual_seed(0))
    nets = [Net.make(sizes(6, 8, 1), g) for g in [torch.Generator().manual_seed(0)] for _ in range(2)]
    x = torch.randn(5, 6)
    assert torch.allclose(twin(x), torch.stack([net(x)[:, 0] for net in nets]), atol=1e-6)


def test_flat_adam_is_torchs_adam():
    a, b = torch.randn(3, 2), torch.randn(4)
    mine = [a.clone(), b.clone()]
    theirs = [torch.nn.Parameter(a.clone()), torch.nn.Parameter(b.clone())]
    flat, adam = FlatAdam(mine, 0.1), torch.optim.Adam(theirs, 0.1)
    for step in range(4):
        flat.minimise((mine[0].sum() * (step + 1) + mine[1].square().sum()).square())
        adam.zero_grad()
        (theirs[0].sum() * (step + 1) + theirs[1].square().sum()).square().backward()
        adam.step()
    assert all(torch.allclose(m, t, atol=1e-5) for m, t in zip(mine, theirs, strict=True))


def test_clipping_bounds_the_gradient():
    flat = FlatAdam([torch.zeros(3)], 0.1, clip=1.0)
    flat.step(torch.tensor([30.0, 40.0, 0.0]))
    assert float(flat.flat.grad.norm()) == pytest.approx(1, rel=1e-4)


def make_sac(agent, values, seed=0):
    policy = agent("ActionAgent", seed=seed, n_in=4, n_actions=2)
    critic = TwinCritics(6, 8, policy.rngs.generator("init"))
    return Sac(policy, critic, values, policy.rngs, False, "update")


def test_target_critics_follow_at_their_rate(agent, values):
    sac = make_sac(agent, values)
    sac.target_flat += 1.0
    gap = sac.target_flat - sac.critic_adam.flat.data
    for _ in range(10):
        sac.target_flat.lerp_(sac.critic_adam.flat.data, 0.005)
    assert torch.allclose(sac.target_flat - sac.critic_adam.flat.data, gap * (1 - 0.005) ** 10, rtol=1e-3)
    assert torch.equal(sac.target.weights[0].reshape(-1), sac.target_flat[: sac.target.weights[0].numel()])


@pytest.mark.parametrize(("multiplier", "sign"), [(-5.0, -1), (5.0, 1)])
def test_temperature_falls_when_there_is_more_entropy_than_asked_for(agent, values, multiplier, sign):
    asked = dataclasses.replace(values, target_multiplier=-multiplier, policy_update_delay=1)
    sac = make_sac(agent, asked)  # target entropy = multiplier · 2
    before = float(sac.log_alpha.detach())
    sac.update(batch(32))
    assert np.sign(float(sac.log_alpha.detach()) - before) == sign


def test_delays(agent, values):
    sac = make_sac(agent, dataclasses.replace(values, policy_update_delay=2, target_update_delay=3))
    policy, goal = sac.policy_adam.flat.data.clone(), sac.target_flat.clone()
    moved = []
    for _ in range(6):
        sac.update(batch(8))
        moved.append(
            (not torch.equal(policy, sac.policy_adam.flat.data), not torch.equal(goal, sac.target_flat))
        )
        policy, goal = sac.policy_adam.flat.data.clone(), sac.target_flat.clone()
    assert [one for one, _ in moved] == [False, True] * 3
    assert [one for _, one in moved] == [False, False, True] * 2


class Chain:
    """Reward 1 each step, horizon 10; `terminal` says what the end is called."""

    n_envs, n_in, n_actions, horizon = 8, 4, 2, 10

    def __init__(self, terminal):
        self.terminal, self.steps = terminal, 0

    def reset(self, seed):
        self.steps = 0
        return torch.ones(8, 4)

    def step(self, action):
        from rewire_repro.scenarios import Step

        self.steps += 1
        end = torch.full((8,), self.steps % 10 == 0)
        none = torch.zeros(8, dtype=torch.bool)
        done = (end, none) if self.terminal else (none, end)
        return Step(torch.ones(8, 4), torch.ones(8, 4), torch.ones(8), *done, none)

    def state(self):
        return {"steps": self.steps}

    def load(self, state):
        self.steps = state["steps"]


@pytest.mark.parametrize(("terminal", "faithful"), [(False, False), (True, False), (False, True)])
def test_the_horizon_bootstraps_and_the_end_of_a_task_does_not(agent, values, terminal, faithful):
    quick = dataclasses.replace(
        values, discount=0.9, init_temperature=1e-8, lr_entropy=0.0, lr_policy=0.0, lr_q=1e-2,
        update_target_tau=0.1, grad_updates_per_step=1.0, inner_epochs=8, initial_buffer_size=400,
        batch_size=64,
    )  # fmt: skip
    policy = agent("ActionAgent", n_in=4, n_actions=2)
    critic = TwinCritics(6, 8, policy.rngs.generator("init"))
    training = Training(
        policy,
        critic,
        Chain(terminal),
        quick,
        policy.rngs,
        n_steps=1600,
        start_steps=10_000,
        faithful=faithful,
    )
    training.start(0)
    training.run(lambda one: None)
    assert training.rewards == [1.0] * 20
    assert training.rewards_at == list(range(80, 1601, 80))
    assert set(training.finished[1:]) == {10.0}
    actions = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    q = float(critic(torch.cat([torch.ones(200, 4), actions], dim=1)).detach().mean())
    expected = 1 / (1 - 0.9 * 0.9) if terminal or faithful else 10.0  # one state in ten ends
    assert q == pytest.approx(expected, rel=0.12)


def test_replay_never_crosses_an_episode_and_wraps_around():
    replay = Replay(10, 1, 1, 0, CPU)
    for start in range(0, 21, 3):
        x = torch.arange(start, start + 3.0)[:, None]
        replay.push(x, x, None, x + 0.5, x[:, 0], torch.zeros(3))
    drawn = replay.sample(2000, np.random.default_rng(0))
    assert sorted(set(drawn.obs[:, 0].tolist())) == [float(i) for i in range(11, 21)]
    assert torch.equal(drawn.next_obs, drawn.obs + 0.5)
    assert torch.equal(drawn.pair, torch.cat([drawn.obs, drawn.action], dim=1))


def test_the_same_seed_learns_the_same_and_another_does_not(agent, values):
    def final(seed):
        sac = make_sac(agent, values, seed)
        rng = torch.Generator().manual_seed(1)
        for _ in range(5):
            b = batch(16)
            b.obs.copy_(torch.randn(16, 4, generator=rng))
            b.next_obs.copy_(torch.randn(16, 4, generator=rng))
            b.pair.copy_(torch.randn(16, 6, generator=rng))
            sac.update(b)
        return sac.policy_adam.flat.data.clone()

    assert torch.equal(final(0), final(0))
    assert not torch.equal(final(0), final(1))


@pytest.mark.slow
def test_the_point_mass_is_learnt_nearly_as_well_as_its_best_linear_controller(composed):
    from rewire_repro.evaluation import rollout
    from rewire_repro.frameworks import make_framework
    from rewire_repro.scenarios import make_scenario

    one = composed("ft_1", "scenario=toy/forgetting", "profile=quick", "scenario.tasks=[plain]")
    scenario = make_scenario(one, CPU)
    framework = make_framework(one, scenario, CPU)
    task = scenario.train_tasks()[0]
    framework.train(task, lambda *line: None, lambda state: None)
    learnt = rollout(task.make(), framework.get_evaluation_agent(0), 5).returns.mean()
    still = rollout(task.make(), lambda o: torch.zeros(len(o), 2), 5).returns.mean()
    gains = [(p, d) for p in (1, 2, 4) for d in (0.5, 1, 2, 3)]
    best = max(
        rollout(task.make(), lambda o, p=p, d=d: -p * o[:, :2] - d * o[:, 2:], 5).returns.mean()
        for p, d in gains
    )
    assert (learnt - still) / (best - still) > 0.9


def test_streams_do_not_move_each_other():
    one, two = Rngs(3, CPU), Rngs(3, CPU)
    two.normal("other", 5)
    assert torch.equal(one.normal("x", 4), two.normal("x", 4))
    assert not torch.equal(one.normal("y", 4), two.normal("z", 4))
    saved = one.state()
    expected = one.normal("x", 3)
    two.load(saved)
    assert torch.equal(two.normal("x", 3), expected)


def test_replay_takes_no_state_of_another_shape_and_no_uneven_transitions():
    one = Replay(10, 2, 1, 0, CPU)
    column = torch.zeros(3, 1)
    one.push(torch.ones(3, 2), column, None, torch.ones(3, 2), column[:, 0], column[:, 0])
    with pytest.raises(RuntimeError, match="size"):
        one.push(torch.ones(3, 2), column[:2], None, torch.ones(3, 2), column[:, 0], column[:, 0])
    assert one.ring.seen == 3
    for other in (Replay(11, 2, 1, 0, CPU), Replay(10, 3, 1, 0, CPU)):
        with pytest.raises(ValueError, match="state"):
            other.load(one.state())
        assert other.size == 0
    with pytest.raises(ValueError, match="state with rows"):
        Replay(10, 2, 1, 0, CPU).load({**one.state(), "rows": one.state()["rows"][:1]})
