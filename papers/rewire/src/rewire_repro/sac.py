"""Soft actor-critic: one update of two critics, a policy and a temperature."""

import math
from typing import Any

import torch
from torch import Tensor

from rewire_repro.agents import Agent
from rewire_repro.flat import FlatAdam, flatten
from rewire_repro.gaussian import split, squash
from rewire_repro.networks import TwinCritics
from rewire_repro.replay import Batch
from rewire_repro.rng import Rngs
from rewire_repro.settings import SacSettings


def target(
    values: SacSettings, batch: Batch, q_next: Tensor, log_pi: Tensor, alpha: Tensor, faithful: bool = False
) -> Tensor:
    """Returns y (B,) = c r + gamma (1 - terminated) (Q' - alpha log pi).

    Args: q_next, log_pi — (B,), of an action at next_obs; faithful — the original's (1, B, B) broadcast,
    in which
    every sample gets the batch's mean entropy.
    """
    assert q_next.shape == log_pi.shape == batch.reward.shape == (len(batch.obs),), (
        "one number per transition"
    )
    entropy = alpha * (log_pi.mean() if faithful else log_pi)
    return values.reward_scaling * batch.reward + values.discount * (1 - batch.terminated) * (
        q_next - entropy
    )


class Sac:
    """The learner of one task: optimisers, target critics and temperature are made afresh for each.

    Args: agent, critic — trained in place; stream — name of the random numbers that it uses;
    targets_with_policy — the target critics follow only in updates that the policy has a part in.
    Differs from the original: see `target` and `squash`; `faithful` restores both.
    """

    def __init__(
        self,
        agent: Agent,
        critic: TwinCritics,
        values: SacSettings,
        rngs: Rngs,
        faithful: bool,
        stream: str,
        targets_with_policy: bool = False,
    ) -> None:
        self.agent, self.critic, self.values, self.rngs = agent, critic, values, rngs
        self.faithful, self.stream = faithful, stream
        self.targets_with_policy = targets_with_policy
        self.goal = -values.target_multiplier * agent.shape.n_actions  # target entropy
        self.target = critic.copy()
        self.target_flat = flatten(self.target.tensors())
        self.critic_adam = FlatAdam(critic.tensors(), values.lr_q, values.clip_grad)
        self.policy_adam = FlatAdam(agent.trainable(), values.lr_policy, values.clip_grad, agent.free())
        self.log_alpha = torch.tensor([math.log(values.init_temperature)], device=rngs.device)
        self.alpha_adam = FlatAdam([self.log_alpha], values.lr_entropy, values.clip_grad)
        self.n_updates = 0
        self.losses: dict[str, Tensor] = {}

    def update(self, batch: Batch) -> None:
        """One update of the critics, and of the rest whenever it is due."""
        values = self.values
        y = self._target(batch)
        errors = (self.critic(batch.pair) - y).square().mean(dim=1)  # (2,)
        gradient = self.critic_adam.gradients(errors.sum())
        self.losses |= {"td_loss_1": errors[0].detach(), "td_loss_2": errors[1].detach(), "grad_q": gradient}
        self.critic_adam.step(gradient)
        self.n_updates += 1
        policy_too = self.n_updates % values.policy_update_delay == 0
        if policy_too:
            self._update_policy(batch)
        if self.n_updates % values.target_update_delay == 0 and (policy_too or not self.targets_with_policy):
            self.target_flat.lerp_(self.critic_adam.flat.data, values.update_target_tau)

    @torch.no_grad()
    def _target(self, batch: Batch) -> Tensor:
        context = self.agent.draw_context(batch.context, len(batch.obs), "target")
        mu, log_sigma = split(self.agent.look_ahead(batch.next_obs, context))
        action, log_pi = squash(mu, log_sigma, self._noise(mu), self.faithful)
        q_next = self.target(side_by_side(batch.next_obs, action, context)).amin(0)
        return target(self.values, batch, q_next, log_pi, self.log_alpha.exp(), self.faithful)

    def _update_policy(self, batch: Batch) -> None:
        """Policy: mean of alpha log pi - min Q over obs and next_obs, plus the method's own terms; then
        alpha.
        """
        obs = torch.cat([batch.obs, batch.next_obs])
        stored = None if batch.context is None else batch.context.repeat(2, 1)
        context = self.agent.draw_context(stored, len(obs), "policy")
        outputs = self.agent.forward(obs, context)
        mu, log_sigma = split(outputs)
        action, log_pi = squash(mu, log_sigma, self._noise(mu), self.faithful)
        q = self.critic(side_by_side(obs, action, context), inputs_only=True)
        alpha = self.log_alpha.detach().exp()
        q_loss = (alpha * log_pi - torch.minimum(q[0], q[1])).mean()
        extra = self.agent.regularizer(obs, outputs)
        gradient = self.policy_adam.gradients(q_loss if extra is None else q_loss + extra)
        self.policy_adam.step(gradient)
        entropy = -log_pi.detach().mean()
        # d/d log alpha of -alpha · mean(log pi + goal)
        self.alpha_adam.step(alpha * (entropy - self.goal))
        self.losses |= {
            "q_loss": q_loss.detach(),
            "regularizer": torch.zeros(()) if extra is None else extra.detach(),
            "entropy_value": entropy,
            "entropy_loss": (alpha * (entropy - self.goal)).detach(),
            "grad_policy": gradient,
        }

    def _noise(self, like: Tensor) -> Tensor:
        return self.rngs.normal(self.stream, *like.shape)

    def report(self) -> dict[str, float]:
        """Returns the last losses, the temperature and the gradients' norms, by the original's names."""
        norms = {
            f"monitor/grad_norm_{k[5:]}": float(v.norm()) for k, v in self.losses.items() if k[:5] == "grad_"
        }
        losses = {f"loss/{k}": float(v) for k, v in self.losses.items() if k[:5] != "grad_"}
        return {**losses, **norms, "loss/temperature": float(self.log_alpha.detach().exp())}

    def finite(self) -> bool:
        """Returns whether the last losses and all weights are numbers."""
        sums = [self.critic_adam.flat.data.sum(), self.policy_adam.flat.data.sum(), *self.losses.values()]
        return all(bool(torch.isfinite(one).all()) for one in sums)

    def release(self) -> None:
        """Give the trained tensors storage of their own, at the end of a task."""
        for adam in (self.critic_adam, self.policy_adam, self.alpha_adam):
            adam.release()

    def state(self) -> dict[str, Any]:
        """Returns optimisers, target critics, temperature and the count of updates (agent and critic save
        themselves).
        """
        adams = {"critic": self.critic_adam, "policy": self.policy_adam, "alpha": self.alpha_adam}
        return {
            "adams": {name: adam.state() for name, adam in adams.items()},
            "target": self.target_flat.cpu().numpy().copy(),
            "log_alpha": self.log_alpha.detach().cpu().numpy().copy(),
            "n_updates": self.n_updates,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        adams = {"critic": self.critic_adam, "policy": self.policy_adam, "alpha": self.alpha_adam}
        for name, adam in adams.items():
            adam.load(state["adams"][name])
        self.target_flat.copy_(torch.as_tensor(state["target"]))
        self.log_alpha.data.copy_(torch.as_tensor(state["log_alpha"]))
        self.n_updates = int(state["n_updates"])


def side_by_side(obs: Tensor, action: Tensor, context: Tensor | None) -> Tensor:
    """Returns the critics' input (B, n_in + A [+ w])."""
    return torch.cat([obs, action] if context is None else [obs, action, context], dim=-1)
