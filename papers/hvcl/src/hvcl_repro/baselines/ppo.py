"""Proximal policy optimisation: advantages and one update, in the paper's symbols.  Schulman et al. 2017."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hvcl_repro.baselines.policy import Policy, entropy, log_prob
from hvcl_repro.baselines.settings import PPOSettings


@dataclass
class Rollout:
    """Steps of all environments, time first: states (T, N, 28), actions (T, N, 8), the others (T, N).

    after — value of the state that followed; end — 1 where the episode is over for any reason; terminal — 1
    where nothing follows, so that `after` does not count; lost — True where nobody knows what the step led to
    (its worker died): such a row ends its episode and is not learned from (None: no row).
    """

    states: Tensor
    actions: Tensor
    log_pi: Tensor
    values: Tensor
    rewards: Tensor
    after: Tensor
    end: Tensor
    terminal: Tensor
    lost: Tensor | None = None

    @property
    def known(self) -> Tensor:
        """True (T, N) where the row is not lost."""
        return torch.ones_like(self.end, dtype=torch.bool) if self.lost is None else ~self.lost


def advantages(r: Rollout, gamma: float, lam: float) -> Tensor:
    """Returns the generalised advantages (T, N): delta_t + gamma lambda (1 - end_t) A_{t+1}; 0 of lost rows.

    Source: Schulman et al. 2016.
    """
    delta = (r.rewards + gamma * (1 - r.terminal) * r.after - r.values).masked_fill(~r.known, 0.0)
    out, running = torch.zeros_like(delta), torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        running = delta[t] + gamma * lam * (1 - r.end[t]) * running
        out[t] = running
    return out


def losses(
    policy: Policy, settings: PPOSettings, task: int, mask: Tensor, states: Tensor, actions: Tensor,
    old: Tensor,
    advantage: Tensor, target: Tensor, old_values: Tensor,
) -> Tensor:  # fmt: skip
    """Returns policy loss + value loss - entropy bonus, a scalar; rows (B, …)."""
    mean, log_std, value = policy(states, task)
    ratio = torch.exp(log_prob(actions, mean, log_std, mask) - old)
    clip = settings.clip_param
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()
    held = old_values + (value - old_values).clamp(-clip, clip)
    value_loss = 0.5 * torch.maximum((value - target) ** 2, (held - target) ** 2).mean()
    return settings.value_loss_coef * value_loss - surrogate - settings.entropy_coef * entropy(log_std, mask)


def update(
    policy: Policy, optimizer: torch.optim.Optimizer, settings: PPOSettings, rollout: Rollout, task: int,
    mask: Tensor, rng: torch.Generator, penalty: Callable[[], Tensor] | None,
) -> float:  # fmt: skip
    """Make `ppo_epoch` passes over the rollout.  Returns: the mean loss.

    Args: penalty — added to every mini-batch's loss; UCL's is divided by their number by the caller.
    """
    policy.train()
    gain, kept = advantages(rollout, settings.gamma, settings.gae_lambda), rollout.known
    target = (gain + rollout.values)[kept]
    gain = gain[kept]
    gain = (gain - gain.mean()) / (gain.std() + 1e-5)
    rows = (rollout.states[kept], rollout.actions[kept], rollout.log_pi[kept], gain, target)
    values, total, steps = rollout.values[kept], 0.0, 0
    for _ in range(settings.ppo_epoch):
        order = torch.randperm(len(gain), generator=rng)
        for index in order.chunk(min(settings.num_mini_batch, len(gain))):
            loss = losses(policy, settings, task, mask, *[row[index] for row in (*rows, values)])
            if penalty is not None:
                loss = loss + penalty()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(policy.parameters(), settings.max_grad_norm)
            optimizer.step()
            total, steps = total + float(loss.detach()), steps + 1
    return total / steps
