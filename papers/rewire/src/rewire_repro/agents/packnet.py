"""packnet: one network whose weights are given to the tasks, one share each."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rewire_repro.agents.agent import Agent, PolicyValues, sizes_of, without_gradient
from rewire_repro.networks import Actor, load_arrays, to_arrays, to_tensors

FREE = -1
ORIGINAL_COEFF = 0.875  # eight tasks


@dataclass(frozen=True)
class PacknetValues(PolicyValues):
    """Configuration keys; prune_coeff: the fraction of each tensor that a task leaves, auto: equal shares."""

    prune_coeff: float | str = "auto"


class PacknetActionAgent(Agent):
    """One dense network and, per entry, the task that owns it (int8, -1: free).

    A task trains all free entries; `prune` gives it the largest of them and sets the rest to 0; then its own
    share is trained alone.  The policy of task k: entries with owner ≤ k, the rest 0.
    Differs from the original (`paper_faithful` restores it): equal shares for any number of tasks, not always
    an eighth; free entries start anew from the initial law, not from 0, where units without weights are dead.
    """

    Values = PacknetValues

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.net = self.fresh_net()
        self.owner = [torch.full_like(one, FREE, dtype=torch.int8) for one in self._owned()]
        self.task, self.pruned = -1, False

    def _owned(self) -> list[Tensor]:
        """The tensors that are shared out: weights and biases."""
        return [*self.net.weights, *self.net.biases]

    def set_task(self, task_id: int | None) -> None:
        """A new task gets the free entries, drawn afresh."""
        if task_id is not None:
            return
        self.task, self.pruned = self.task + 1, False
        if self.task and not self.faithful:
            for own, owner, new in zip(self._owned(), self.owner, self.fresh_net().tensors(), strict=False):
                own.data.copy_(torch.where(owner == FREE, new, own.data))

    def prune(self) -> None:
        """Give the largest free entries of each tensor to the current task, set the others to 0."""
        for one, owner in zip(self._owned(), self.owner, strict=True):
            free = owner == FREE
            share = min(self._share(one.numel()), int(free.sum()))
            size = torch.where(free, one.detach().abs(), -1.0).reshape(-1)
            owner.view(-1)[size.topk(share).indices] = self.task
            one.data[owner == FREE] = 0.0
        self.pruned = True

    def _share(self, n: int) -> int:
        """How many of a tensor's n entries the current task gets."""
        coeff = self.values.prune_coeff
        if coeff == "auto" and self.faithful:
            coeff = ORIGINAL_COEFF
        if coeff == "auto":
            tasks = self.shape.n_tasks
            return round((self.task + 1) * n / tasks) - round(self.task * n / tasks)
        return n - int(n * float(coeff))

    def trainable(self) -> list[Tensor]:
        """Returns the whole network; `free` says what of it may move."""
        return self.net.tensors()

    def free(self) -> list[Tensor]:
        """Returns the free entries before pruning, the task's own afterwards."""
        mine = self.task if self.pruned else FREE
        norm = self.faithful or (self.task == 0 and not self.pruned)
        return [
            *(owner == mine for owner in self.owner),
            *(torch.full_like(one, norm, dtype=torch.bool) for one in self.net.norm),
        ]

    def forward(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the network's outputs."""
        return self.net(obs)

    def actor(self, task_id: int | None = None) -> Actor:
        """Returns the task's share of the network; a task not pruned yet is acted on with all of it."""
        last = self.task if self.pruned else self.task - 1
        if task_id is None or (task_id > last and not self.pruned):
            return without_gradient(self.net, self.shape.n_actions)
        task = min(task_id, last)
        masked = [one * ((m >= 0) & (m <= task)) for one, m in zip(self._owned(), self.owner, strict=True)]
        return without_gradient(self.net.rebuilt([*masked, *self.net.norm]), self.shape.n_actions)

    def numel(self) -> dict[str, int]:
        """Returns one network (its masks are a byte per weight); the original keeps one more per task."""
        n = self.net.numel()
        return sizes_of(n, n, n * (max(self.task, 0) + 2))

    def state(self) -> dict[str, Any]:
        """Returns the network and who owns what."""
        parts = {"net": to_arrays(self.net.tensors()), "owner": to_arrays(self.owner)}
        return {**parts, "task": self.task, "pruned": self.pruned}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        load_arrays(self.net.tensors(), state["net"])
        self.owner = to_tensors(state["owner"], self.rngs.device)
        self.task, self.pruned = int(state["task"]), bool(state["pruned"])
