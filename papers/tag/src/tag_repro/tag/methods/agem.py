"""A-GEM: a step that would raise the loss on remembered examples is turned until it does not."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from clrepro.adapters.agem import flat_gradient, project, set_gradient
from clrepro.adapters.tensor_columns import TensorColumns
from clrepro.buffers import PerClass
from tag_repro.losses import mixed_loss, statistics_kept
from tag_repro.tag.methods.naive import Naive


class AGEM(Naive):
    """The latest mem_size examples of every class of every task; the reference batch comes from the tasks
    before the present one, without repetition.

    Source: Chaudhry et al. 2019.
    """

    def __init__(self, *args: Any, mem_size: int = 1, **more: Any) -> None:
        super().__init__(*args, **more)
        self.policy = PerClass(mem_size, self.task_stream.n_outputs)
        self.examples = TensorColumns(self.policy.capacity)

    def gradients(self, x: Tensor, y: Tensor, task: int) -> float:
        """Fill the projected gradients for a batch of a task and remember it; returns its loss."""
        reference = self._reference(task, len(y))
        loss = super().gradients(x, y, task)
        if reference is not None:
            own = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
            set_gradient(self.parameters, project(torch.cat([g.reshape(-1) for g in own]), reference))
        self.examples.write(self.policy.add(y.cpu().numpy()), x=x, y=y)
        return loss

    def _reference(self, task: int, n: int) -> Tensor | None:
        """The gradient of the loss on remembered examples of earlier tasks, or None without any."""
        low, _ = self.task_stream.outputs(task)
        held = np.concatenate([np.empty(0, np.int64), *(self.policy.slots_of(label) for label in range(low))])
        if not len(held):
            return None
        old = self.examples.read(self.rng.choice(held, min(n, len(held)), replace=False))
        with statistics_kept(self.network):
            loss = mixed_loss(self.network(old["x"]), old["y"], self.task_stream.classes_per_task)
        return flat_gradient(loss, self.parameters)

    def memory_state(self) -> dict[str, Any]:
        """Returns counters and examples."""
        return {"policy": self.policy.state(), "examples": self.examples.state()}

    def load_memory(self, state: dict[str, Any]) -> None:
        """Continue from what `memory_state` returned."""
        self.policy.load(state["policy"])
        self.examples.load(state["examples"], self.parameters[0].device)
