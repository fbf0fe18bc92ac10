"""Soft actor-critic as a reader of the paper would write it in torch: the peer of the speed benchmark.

Two critics as two modules, an Adam per module as torch makes it by default, zero_grad / backward / step,
target
networks moved parameter by parameter.  The maths is that of `rewire_repro.sac`.
"""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from rewire_repro.gaussian import split, squash
from rewire_repro.networks import SLOPE, sizes
from rewire_repro.replay import Batch
from rewire_repro.settings import SacSettings


def perceptron(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    """Returns the network of spec 4 as a torch module."""
    widths, layers = sizes(n_in, hidden, n_out), []
    for i in range(4):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers[:-1])


class EagerSac:
    """The same update, straightforward."""

    def __init__(self, n_in: int, n_actions: int, hidden: int, values: SacSettings) -> None:
        self.values, self.goal = values, -values.target_multiplier * n_actions
        self.policy = perceptron(n_in, hidden, 2 * n_actions)
        self.critics = [perceptron(n_in + n_actions, hidden, 1) for _ in range(2)]
        self.targets = copy.deepcopy(self.critics)
        self.log_alpha = torch.tensor([math.log(values.init_temperature)], requires_grad=True)
        self.policy_adam = torch.optim.Adam(self.policy.parameters(), values.lr_policy)
        self.critic_adams = [torch.optim.Adam(one.parameters(), values.lr_q) for one in self.critics]
        self.alpha_adam = torch.optim.Adam([self.log_alpha], values.lr_entropy)
        self.n_updates = 0

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (action, log density)."""
        mu, log_sigma = split(self.policy(obs))
        return squash(mu, log_sigma, torch.randn_like(mu))

    def value(self, critics: list[Any], obs: Tensor, action: Tensor) -> Tensor:
        """Returns the smaller of the two critics' values (B,)."""
        pair = torch.cat([obs, action], dim=-1)
        return torch.minimum(critics[0](pair)[:, 0], critics[1](pair)[:, 0])

    def update(self, batch: Batch) -> None:
        """One update of the critics, and of the rest whenever it is due."""
        values = self.values
        with torch.no_grad():
            action, log_pi = self.act(batch.next_obs)
            q = self.value(self.targets, batch.next_obs, action) - self.log_alpha.exp() * log_pi
            y = values.reward_scaling * batch.reward + values.discount * (1 - batch.terminated) * q
        for critic, adam in zip(self.critics, self.critic_adams, strict=True):
            adam.zero_grad()
            (critic(torch.cat([batch.obs, batch.action], dim=-1))[:, 0] - y).square().mean().backward()
            adam.step()
        self.n_updates += 1
        if self.n_updates % values.policy_update_delay == 0:
            self._update_policy(batch)
        if self.n_updates % values.target_update_delay == 0:
            for critic, slow in zip(self.critics, self.targets, strict=True):
                for new, old in zip(critic.parameters(), slow.parameters(), strict=True):
                    old.data.mul_(1 - values.update_target_tau).add_(values.update_target_tau * new.data)

    def _update_policy(self, batch: Batch) -> None:
        obs = torch.cat([batch.obs, batch.next_obs])
        action, log_pi = self.act(obs)
        loss = (self.log_alpha.exp().detach() * log_pi - self.value(self.critics, obs, action)).mean()
        self.policy_adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.policy_adam.step()
        entropy_loss = -(self.log_alpha.exp() * (log_pi.detach() + self.goal)).mean()
        self.alpha_adam.zero_grad()
        entropy_loss.backward()  # type: ignore[no-untyped-call]
        self.alpha_adam.step()
