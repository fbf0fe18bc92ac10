"""A-GEM: a step that would raise the loss on remembered examples is turned until it does not."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from clrepro.adapters.agem import project as project
from clrepro.buffers import PerClass
from tag_repro.losses import mixed_loss, statistics_kept
from tag_repro.tag.methods.memory import Examples
from tag_repro.tag.methods.naive import Naive


class AGEM(Naive):
    """The latest mem_size examples of every class of every task; the reference batch comes from the tasks
    before the present one, without repetition.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.policy = PerClass(self.settings.mem_size, self.task_stream.n_outputs)
        self.examples = Examples(self.policy.capacity)

    def gradients(self, x: Tensor, y: Tensor, task: int) -> float:
        """Fill the projected gradients for a batch of a task and remember it; returns its loss."""
        reference = self._reference(task, len(y))
        loss = super().gradients(x, y, task)
        if reference is not None:
            own = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
            flat = project(torch.cat([g.reshape(-1) for g in own]), reference)
            parts = torch.split(flat, [p.numel() for p in self.parameters])
            for p, part in zip(self.parameters, parts, strict=True):
                p.grad = part.view_as(p)
        self.examples.put(self.policy.add(y.cpu().numpy()), x, y)
        return loss

    def _reference(self, task: int, n: int) -> Tensor | None:
        """The gradient of the loss on remembered examples of earlier tasks, or None without any."""
        low, _ = self.task_stream.outputs(task)
        held = np.concatenate([np.empty(0, np.int64), *(self.policy.slots_of(label) for label in range(low))])
        if not len(held):
            return None
        x, y = self.examples.get(self.rng.choice(held, min(n, len(held)), replace=False))
        with statistics_kept(self.network):
            loss = mixed_loss(self.network(x), y, self.task_stream.classes_per_task)
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        return torch.cat([
            (torch.zeros_like(p) if g is None else g).reshape(-1)
            for p, g in zip(self.parameters, found, strict=True)
        ])  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Returns counters and examples."""
        return {"policy": self.policy.state(), "examples": self.examples.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.policy.load(state["policy"])
        self.examples.load(state["examples"], self.parameters[0].device)
