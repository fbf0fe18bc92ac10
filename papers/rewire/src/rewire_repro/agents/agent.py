"""What every policy offers to the loop; each method overrides what it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rewire_repro.networks import Actor, Net, sizes
from rewire_repro.rng import Rngs


@dataclass(frozen=True)
class PolicyValues:
    """The configuration keys that all policies have."""

    hidden_size: int
    start_steps: int
    layer_norm: bool
    input_dimension: int | None = None
    output_dimension: int | None = None


@dataclass(frozen=True)
class Shape:
    """Widths of observations and actions, and how many tasks there will be."""

    n_in: int
    n_actions: int
    n_tasks: int


class Agent:
    """A policy over a sequence of tasks; its network outputs are (B, 2 × actions): mu and log sigma.

    `set_task(None)`: a new task begins; `set_task(-1)`: it has ended.  `actor(task_id)` acts as the policy of
    that task, `actor()` as the one in training.
    """

    context_width = 0  # columns that the policy and its critic see beside the observation
    Values: type = PolicyValues

    def __init__(self, values: Any, shape: Shape, rngs: Rngs, faithful: bool = False) -> None:
        self.values, self.shape, self.rngs, self.faithful = values, shape, rngs, faithful

    @property
    def widths(self) -> list[int]:
        """Widths of the layers of a policy network."""
        return sizes(self.shape.n_in, self.values.hidden_size, 2 * self.shape.n_actions)

    def fresh_net(self) -> Net:
        """Returns a network with weights from the stream "init"."""
        return Net.make(self.widths, self.rngs.generator("init"), self.values.layer_norm)

    def set_task(self, task_id: int | None) -> None:
        """None: a new task begins; -1: the current one has ended."""

    def trainable(self) -> list[Tensor]:
        """Returns the tensors that the current task trains."""
        raise NotImplementedError

    def free(self) -> list[Tensor] | None:
        """Returns which entries of them may move, bool; None: all."""
        return None

    def forward(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the outputs (B, 2A) with gradients, as the policy's loss uses them."""
        raise NotImplementedError

    def explore(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the outputs (B, 2A) that training acts with; called without gradient."""
        return self.forward(obs, context)

    def look_ahead(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the outputs (B, 2A) that the critics' targets use; called without gradient."""
        return self.explore(obs, context)

    def draw_context(self, stored: Tensor | None, n: int, purpose: str) -> Tensor | None:
        """Returns the context (n, width) of an update, or None.

        Args: stored — that of the replayed transitions; purpose — "target" or "policy".
        """
        return None

    def acting_context(self, ended: Tensor) -> Tensor | None:
        """Returns the context (n_envs, width) of the next step; `ended` bool (n_envs,): a new episode
        begins.
        """
        return None

    def regularizer(self, obs: Tensor, outputs: Tensor) -> Tensor | None:
        """Returns what the policy's loss adds, or None.  Args: what `forward` was last given and returned."""
        return None

    def actor(self, task_id: int | None = None) -> Actor:
        """Returns the deterministic policy of a task (None: the one in training), frozen as it is now."""
        raise NotImplementedError

    def numel(self) -> dict[str, int]:
        """Returns parameter counts: `inference` (acting on all tasks seen), `training` (what learning
        keeps), `repo`
        (what the original's state_dict would hold).
        """
        raise NotImplementedError

    def facts(self) -> dict[str, float]:
        """Returns what is worth a line in the log at the end of a task."""
        return {}

    def state(self) -> dict[str, Any]:
        """Returns everything, as arrays, numbers and text."""
        raise NotImplementedError

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        raise NotImplementedError


def without_gradient(net: Net, n_actions: int) -> Actor:
    """Returns the mean of a network's own copy, as a function."""
    frozen = net.copy()

    @torch.no_grad()
    def act(obs: Tensor) -> Tensor:
        return frozen(obs)[:, :n_actions]

    return act


def sizes_of(inference: int, training: int | None = None, repo: int | None = None) -> dict[str, int]:
    """Returns the three counts; training defaults to inference, repo to training."""
    training = inference if training is None else training
    return {"inference": inference, "training": training, "repo": training if repo is None else repo}


def squared_distance(new: Sequence[Tensor], old: Sequence[Tensor], weight: Sequence[Tensor] | None) -> Tensor:
    """Returns sum_j F_j (theta_j - theta*_j)², F = 1 where no weights are given."""
    pairs = [(n - o).square() for n, o in zip(new, old, strict=True)]
    if weight is not None:
        pairs = [w * p for w, p in zip(weight, pairs, strict=True)]
    return torch.stack([one.sum() for one in pairs]).sum()
