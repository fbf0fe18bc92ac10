"""Experience replay: the gradient on a batch from a reservoir is added to the present batch's."""

from typing import Any

from torch import Tensor

from clrepro.buffers import Reservoir
from tag_repro.losses import mixed_loss
from tag_repro.tag.methods.memory import Examples
from tag_repro.tag.methods.naive import Naive


class ER(Naive):
    """A uniform sample of all examples so far, mem_size for each class of the data set; from the second task
    on it gives a batch as large as the present one, without repetition.

    Differs from the original: its reservoir counted once per batch, so that items entered too often.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Of permuted or rotated images the data set has ten classes, however many outputs they get.
        self.policy = Reservoir(self.settings.mem_size * self.task_stream.replay_classes, self.rng)
        self.examples = Examples(self.policy.capacity)

    def gradients(self, x: Tensor, y: Tensor, task: int) -> float:
        """Fill the added gradients for a batch of a task and remember it; returns its loss."""
        loss = super().gradients(x, y, task)
        if task and self.policy.size:
            n = min(len(y), self.policy.size)
            old_x, old_y = self.examples.get(self.rng.choice(self.policy.size, n, replace=False))
            replay = mixed_loss(self.network(old_x), old_y, self.task_stream.classes_per_task)
            replay.backward()  # type: ignore[no-untyped-call]
        self.examples.put(self.policy.add(len(y)), x, y)
        return loss

    def state(self) -> dict[str, Any]:
        """Returns the counter and the examples."""
        return {"policy": self.policy.state(), "examples": self.examples.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.policy.load(state["policy"])
        self.examples.load(state["examples"], self.parameters[0].device)
