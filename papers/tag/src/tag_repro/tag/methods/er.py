"""Experience replay: the gradient on a batch from a reservoir is added to the present batch's."""

from typing import Any

from torch import Tensor

from clrepro.adapters.tensor_columns import TensorColumns
from clrepro.buffers import Reservoir
from tag_repro.losses import mixed_loss
from tag_repro.tag.methods.naive import Naive


class ER(Naive):
    """A uniform sample of all examples so far, mem_size for each class of the data set; from the second task
    on it gives a batch as large as the present one, without repetition.

    Differs from the original: its reservoir counted once per batch, so that items entered too often.
    """

    def __init__(self, *args: Any, mem_size: int = 1, **more: Any) -> None:
        super().__init__(*args, **more)
        # Of permuted or rotated images the data set has ten classes, however many outputs they get.
        self.policy = Reservoir(mem_size * self.task_stream.replay_classes, self.rng)
        self.examples = TensorColumns(self.policy.capacity)

    def gradients(self, x: Tensor, y: Tensor, task: int) -> float:
        """Fill the added gradients for a batch of a task and remember it; returns its loss."""
        loss = super().gradients(x, y, task)
        if task and self.policy.size:
            n = min(len(y), self.policy.size)
            old = self.examples.read(self.rng.choice(self.policy.size, n, replace=False))
            replay = mixed_loss(self.network(old["x"]), old["y"], self.task_stream.classes_per_task)
            replay.backward()  # type: ignore[no-untyped-call]
        self.examples.write(self.policy.add(len(y)), x=x, y=y)
        return loss

    def memory_state(self) -> dict[str, Any]:
        """Returns the counter and the examples."""
        return {"policy": self.policy.state(), "examples": self.examples.state()}

    def load_memory(self, state: dict[str, Any]) -> None:
        """Continue from what `memory_state` returned."""
        self.policy.load(state["policy"])
        self.examples.load(state["examples"], self.parameters[0].device)
