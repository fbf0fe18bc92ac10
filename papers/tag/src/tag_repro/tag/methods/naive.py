"""Nothing but the present batch's loss."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from tag_repro.losses import task_loss
from tag_repro.settings import TagSettings
from tag_repro.task_stream import TaskStream


class Naive:
    """The plain gradient; also what the other methods build on."""

    def __init__(
        self, settings: TagSettings, network: nn.Module, task_stream: TaskStream, rng: np.random.Generator
    ) -> None:
        self.settings, self.network, self.task_stream, self.rng = settings, network, task_stream, rng
        self.parameters = [p for p in network.parameters() if p.requires_grad]

    def gradients(self, x: Tensor, y: Tensor, task: int) -> float:
        """Fill the gradients for a batch of a task; returns its loss.

        Args: x — float (n, ...); y — int64 (n,), numbered over all tasks.
        """
        for p in self.parameters:
            p.grad = None
        loss = task_loss(self.network(x), y, self.task_stream.outputs(task))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def end_task(self, x: Tensor, y: Tensor, task: int) -> None:
        """A task is over; x — all its training images, uint8 (n, inputs); y — int64 (n,)."""

    def state(self) -> dict[str, Any]:
        """Returns what the method remembers."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
