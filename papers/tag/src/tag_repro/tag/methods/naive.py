"""Nothing but the present batch's loss."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clrepro.adapters import torch as adapter
from tag_repro.inputs import scaled
from tag_repro.losses import task_loss
from tag_repro.optim import TAG
from tag_repro.task_stream import TaskStream


class Naive:
    """An optimizer that steps along the plain gradient; also what the other methods build on.

    A `clrepro.learner.Learner` on tensors of the network's device: images uint8 (n, inputs), labels int64
    numbered over all tasks.
    Args: optimizer — of the network's parameters, for the whole stream; rng — what the method draws from;
        dropout_rng — generator of the network's dropout; rate — learning rate of task 0, 1, ... (None: the
        optimizer's own); restart — TAG counts the steps for its bias correction anew in every epoch.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        task_stream: TaskStream,
        rng: np.random.Generator,
        *,
        dropout_rng: torch.Generator | None = None,
        rate: Callable[[int], float] | None = None,
        restart: bool = False,
    ) -> None:
        self.network, self.optimizer, self.task_stream, self.rng = network, optimizer, task_stream, rng
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self._dropout_rng, self._rate, self._restart = dropout_rng, rate, restart

    def gradients(self, x: Tensor, y: Tensor, task: int) -> float:
        """Fill the gradients for a batch of a task; returns its loss.

        Args: x — float (n, ...), what the network takes; y — int64 (n,), numbered over all tasks.
        """
        for p in self.parameters:
            p.grad = None
        loss = task_loss(self.network(x), y, self.task_stream.outputs(task))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def begin_task(self, task: int) -> None:
        """A task begins."""
        if self._rate is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate(task)
        if isinstance(self.optimizer, TAG):
            self.optimizer.begin_task()

    def begin_epoch(self) -> None:
        """An epoch begins."""
        if isinstance(self.optimizer, TAG) and self._restart:
            self.optimizer.restart_correction()

    def observe(self, x: Tensor, y: Tensor, task: int) -> float:
        """Learn a batch of a task; returns its loss before the step."""
        if not self.network.training:
            self.network.train()
        loss = self.gradients(scaled(x, self.task_stream), y, task)
        self.optimizer.step()
        return loss

    def predict(self, x: Tensor, task: int) -> Tensor:
        """Returns logits (n, classes per task) of images of a task, over its own outputs."""
        if self.network.training:
            self.network.eval()
        with torch.no_grad():
            logits = self.network(scaled(x, self.task_stream))
        return torch.as_tensor(logits[:, slice(*self.task_stream.outputs(task))])

    def end_task(self, task: int) -> None:
        """A task is over."""
        if isinstance(self.optimizer, TAG):
            self.optimizer.end_task()

    def alphas(self) -> NDArray[np.float64] | None:
        """Returns TAG's mean weight of each old task in the present one; None without TAG."""
        return np.asarray(self.optimizer.alphas()) if isinstance(self.optimizer, TAG) else None

    def memory_state(self) -> dict[str, Any]:
        """Returns what the method remembers beside network and optimizer."""
        return {}

    def load_memory(self, state: dict[str, Any]) -> None:
        """Continue from what `memory_state` returned."""

    def state(self) -> dict[str, Any]:
        """Returns network, optimizer, memory and the generator of the dropout; `rng` is the caller's."""
        network = {name: value.cpu().numpy().copy() for name, value in self.network.state_dict().items()}
        held = {"network": network, "optimizer": adapter.optimizer_state(self.optimizer)}
        dropout = {} if self._dropout_rng is None else {"dropout": adapter.generator_state(self._dropout_rng)}
        return {**held, "method": self.memory_state(), **dropout}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state["network"].items()})
        adapter.load_optimizer_state(self.optimizer, state["optimizer"])
        self.load_memory(state["method"])
        if self._dropout_rng is not None:
            adapter.load_generator_state(self._dropout_rng, state["dropout"])
