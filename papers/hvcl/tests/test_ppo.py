"""PPO's loss and both penalties, written out again in NumPy."""

import os
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import scipy.stats
import torch

from clrepro.envs import VectorEnv
from clrepro.progress import Progress
from clrepro.seeding import Seeds
from hvcl_repro.baselines import ppo
from hvcl_repro.baselines.penalties import EWC, UCL
from hvcl_repro.baselines.policy import Policy, entropy
from hvcl_repro.baselines.settings import PPOSettings
from hvcl_repro.baselines.train import Baseline
from hvcl_repro.rl.points import POINTS, Point

SMALL = PPOSettings(env_set="toy", hidden=4, approach="fine-tuning", entropy_coef=0.01)
MASK = torch.tensor([1.0, 1.0] + [0.0] * 6)


def policy(**settings):
    return Policy(replace(SMALL, **settings), 2, torch.Generator().manual_seed(0))


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_loss_by_hand():
    net = policy()
    with torch.no_grad():
        net.log_std[1].fill_(-0.3)
        states, actions = normal(50, 28), normal(50, 8, seed=1)
        mean, log_std, value = (v.numpy().astype(float) for v in net(states, 1))
    log_pi = scipy.stats.norm.logpdf(actions.numpy(), mean, np.exp(log_std))[:, :2].sum(axis=1)
    old = log_pi - 0.5 * normal(50, seed=2).numpy()  # ratios on both sides of the clip
    gain, target, before = (normal(50, seed=seed).numpy().astype(float) for seed in (3, 4, 5))
    ratio = np.exp(log_pi - old)
    assert ((ratio < 0.8) | (ratio > 1.2)).any()
    gained = np.minimum(ratio * gain, np.clip(ratio, 0.8, 1.2) * gain).mean()
    held = before + np.clip(value - before, -0.2, 0.2)
    missed = 0.5 * np.maximum((value - target) ** 2, (held - target) ** 2).mean()
    spread = scipy.stats.norm(0, np.exp(-0.3)).entropy() * 2  # of the two actions there are
    assert float(entropy(net.log_std[1], MASK).detach()) == pytest.approx(spread)
    rows = [torch.tensor(v, dtype=torch.float32) for v in (old, gain, target, before)]
    found = ppo.losses(net, SMALL, 1, MASK, states, actions, *rows)
    assert float(found.detach()) == pytest.approx(0.5 * missed - gained - 0.01 * spread, rel=1e-4)


def test_an_update_learns_normalised_advantages_in_shuffled_parts(monkeypatch):
    settings, seen = replace(SMALL, ppo_epoch=3, num_mini_batch=4), []
    real = ppo.losses

    def noted(*args):
        seen.append([row.clone() for row in args[4:]])
        return real(*args)

    monkeypatch.setattr(ppo, "losses", noted)
    net = policy()
    columns = [normal(10, 2, seed=seed) for seed in (2, 3, 4, 5)]
    zeros = torch.zeros(10, 2)
    rollout = ppo.Rollout(normal(10, 2, 28), normal(10, 2, 8, seed=1), *columns, zeros, zeros)
    extra = torch.tensor(7.0)
    optimizer = torch.optim.SGD(net.parameters(), 0.0)
    args = (net, optimizer, settings, rollout, 0, MASK, torch.Generator().manual_seed(0))
    plain = ppo.update(*args, None)
    assert len(seen) == 3 * 4
    gain = ppo.advantages(rollout, settings.gamma, settings.gae_lambda).flatten()
    for epoch in range(3):
        old, advantage, target, values = (
            torch.cat([part[i] for part in seen[4 * epoch : 4 * epoch + 4]]) for i in (2, 3, 4, 5)
        )
        order = [int(torch.nonzero(rollout.log_pi.flatten() == one)[0]) for one in old]
        assert sorted(order) == list(range(20))
        assert order != sorted(order)
        np.testing.assert_allclose(advantage, ((gain - gain.mean()) / gain.std())[order], rtol=1e-3)
        np.testing.assert_allclose(target, (gain + rollout.values.flatten())[order], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(values, rollout.values.flatten()[order])
    again = (*args[:-1], torch.Generator().manual_seed(0))
    assert ppo.update(*again, lambda: extra) == pytest.approx(plain + 7.0, rel=1e-5)


def test_ewc_sums_its_tasks_and_online_keeps_one_anchor():
    net = policy()
    importance = {"mean.0.bias": torch.full((8,), 1.0)}
    for online, expected in ((False, 8 * (1.0**2 + 3 * 0.5**2)), (True, 8 * 4 * 0.5**2)):
        ewc = EWC(2.0, online)
        with torch.no_grad():
            net.mean[0].bias.zero_()
        for strength in (1.0, 3.0):
            ewc.close(net, {name: strength * f for name, f in importance.items()})
            with torch.no_grad():
                net.mean[0].bias += 0.5
        assert float(ewc.loss(net).detach()) == pytest.approx(0.5 * 2.0 * expected)


def test_ucl_is_the_papers_equation():
    net = policy(approach="ucl")
    ucl = UCL(net, 0.1, 0.3)
    rng = np.random.default_rng(0)

    def shake(scale):
        with torch.no_grad():
            for layers in net.node_layers():
                for layer in layers:
                    layer.mu += torch.tensor(scale * rng.normal(size=layer.mu.shape), dtype=torch.float32)
                    layer.rho += torch.tensor(scale * rng.normal(size=layer.rho.shape), dtype=torch.float32)

    def numbers():
        return [
            [(la.mu.detach().numpy().astype(float), np.log1p(np.exp(la.rho.detach().numpy().astype(float))))
             for la in layers] for layers in net.node_layers()
        ]  # fmt: skip

    def expected(old, began):
        total = 0.0
        for now_net, old_net in zip(numbers(), old, strict=True):
            below = None
            for (mu, s), (mu_0, s_0) in zip(now_net, old_net, strict=True):
                ratio = s**2 / s_0**2
                total += 0.5 * 0.3 * np.sum(ratio - np.log(ratio) + s**2 - np.log(s**2))
                hold = np.broadcast_to(0.1 / s_0, mu.shape)
                if below is not None:
                    hold = np.maximum(hold, 0.1 / below.T)
                if began:
                    total += 0.5 * np.sum((hold * (mu - mu_0)) ** 2)
                    total += 0.1**2 * np.sum((mu_0 / s_0) ** 2 * np.abs(mu - mu_0))
                below = s_0
        return total

    start = numbers()
    shake(0.5)
    assert float(ucl.loss(net).detach()) == pytest.approx(expected(start, began=False), rel=1e-4)
    ucl.close(net)
    learned = numbers()
    shake(0.5)
    assert float(ucl.loss(net).detach()) == pytest.approx(expected(learned, began=True), rel=1e-4)


def test_a_layer_of_uncertain_nodes_has_one_deviation_per_node():
    layer = policy(approach="ucl").actor[0]
    with torch.no_grad():
        layer.rho[0], layer.rho[1] = -1.0, -5.0
    x = normal(1, 28)
    layer.eval()
    mean = layer(x).detach()
    np.testing.assert_allclose(mean, x @ layer.mu.T.detach() + layer.bias.detach(), rtol=1e-5)
    layer.train()
    draws = torch.cat([layer(x).detach() for _ in range(4000)]).numpy()
    sigma = np.log1p(np.exp(layer.rho.detach().numpy()[:, 0]))
    np.testing.assert_allclose(draws.std(axis=0), sigma * float(x.norm()), rtol=0.05)
    np.testing.assert_allclose(
        draws.mean(axis=0), mean[0], atol=4 * sigma.max() * float(x.norm()) / 4000**0.5
    )


# --- the loop ------------------------------------------------------------------------------------------

TINY = replace(SMALL, num_processes=2, num_steps=60, num_env_steps=480, eval_episodes=1, eval_interval=99)


def baseline(**settings):
    return Baseline(replace(TINY, **settings), Seeds(1), None, 0)


def test_penalties_begin_after_the_first_task_and_ucls_is_shared_among_mini_batches():
    ewc, ucl = baseline(approach="ewc"), baseline(approach="ucl", num_mini_batch=8)
    assert baseline()._held(1) is None
    assert ewc._held(0) is None
    ewc.penalty.close(ewc.policy, {"mean.0.bias": torch.ones(8)})
    with torch.no_grad():
        ewc.policy.mean[0].bias += 1.0
    assert float(ewc._held(1)().detach()) == pytest.approx(0.5 * TINY.ewc_lambda * 8)
    assert float(ucl._held(0)().detach()) == pytest.approx(float(ucl.penalty.loss(ucl.policy).detach()) / 8)


def test_the_learning_rate_falls_in_a_line(monkeypatch):
    made, rates = baseline(), []
    monkeypatch.setattr(ppo, "update", lambda _, o, *rest: rates.append(o.param_groups[0]["lr"]) or 0.0)
    made._task(0, Progress.silent().run(3))
    made.examiners[0].close()
    np.testing.assert_allclose(rates, TINY.lr * np.array([1.0, 0.75, 0.5, 0.25]))


@pytest.mark.parametrize("proper", [False, True])
def test_a_time_limit_is_an_end_unless_asked_otherwise(proper):
    from hvcl_repro.baselines.train import ACT_DIM, OBS_DIM, RewardScale, maker

    made = baseline(use_proper_time_limits=proper)
    with VectorEnv([maker(made.env_ids[0])] * 2, OBS_DIM, ACT_DIM, [1, 2], 0) as envs:
        first = envs.reset()
        rollout, _, returns = made._collect(envs, first, np.zeros(2), RewardScale(2, 0.99), 0)
    assert rollout.end.sum() == 2  # both episodes are cut off at their fiftieth step
    assert rollout.end[49].tolist() == [1, 1]
    assert rollout.terminal.sum() == (0 if proper else 2)
    assert len(returns) == 2


class Mortal(Point):
    """A point that ends its process when it is pushed to the left for the first time in this file's life."""

    def __init__(self, path):
        super().__init__(**POINTS["PointRight-v0"])
        self.path = path

    def step(self, action):
        if action[0] < -0.5 and self._t > 3 and not self.path.exists():
            self.path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


def test_a_row_that_a_dead_worker_left_is_no_part_of_what_ppo_learns(tmp_path):
    from hvcl_repro.baselines.train import ACT_DIM, OBS_DIM, RewardScale, maker

    made = baseline(num_steps=20)
    makers = [partial(Mortal, tmp_path / "died"), maker(made.env_ids[0])]
    with VectorEnv(makers, OBS_DIM, ACT_DIM, [1, 2], 2) as envs:
        rollout, _, returns = made._collect(envs, envs.reset(), np.zeros(2), RewardScale(2, 0.99), 0)
        assert envs.restarts == 1
    (time, row), *others = torch.nonzero(rollout.lost).tolist()
    assert not others
    assert row == 0
    assert rollout.end[time, 0] == 1
    assert not returns  # part of an episode has no return
    np.testing.assert_array_equal(rollout.after[time, 0], rollout.values[time, 0])
    # Whatever the lost row and the next episode hold, the rows before it gain the same.
    gains = []
    for made_up in (-1e6, 1e6):
        rollout.after[time, 0] = rollout.rewards[time, 0] = made_up
        rollout.values[time + 1 :, 0] = made_up
        gains.append(ppo.advantages(rollout, 0.99, 0.95)[: time + 1, 0])
    np.testing.assert_array_equal(*gains)
    assert gains[0][time] == 0


def test_lost_rows_are_in_no_mini_batch(monkeypatch):
    seen, real = [], ppo.losses
    monkeypatch.setattr(ppo, "losses", lambda *args: seen.append(args[6].tolist()) or real(*args))
    columns, zeros = [normal(10, 2, seed=seed) for seed in (2, 3, 4, 5)], torch.zeros(10, 2)
    lost = torch.zeros(10, 2, dtype=torch.bool)
    lost[3, 1] = True
    columns[3][3, 1] = float("nan")
    rollout = ppo.Rollout(normal(10, 2, 28), normal(10, 2, 8, seed=1), *columns, lost.float(), zeros, lost)
    settings, net = replace(SMALL, ppo_epoch=1, num_mini_batch=4), policy()
    optimizer = torch.optim.SGD(net.parameters(), 0.0)
    rng = torch.Generator().manual_seed(0)
    loss = ppo.update(net, optimizer, settings, rollout, 0, MASK, rng, None)
    assert np.isfinite(loss)
    assert sorted(one for part in seen for one in part) == sorted(rollout.log_pi[~lost].tolist())
