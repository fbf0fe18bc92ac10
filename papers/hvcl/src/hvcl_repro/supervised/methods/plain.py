"""Plain training: fine-tuning, the lower bound; re-initialised for every task; and, on everything, joint."""

from typing import Any

from numpy.typing import NDArray

from hvcl_repro.supervised.networks import Networks
from hvcl_repro.supervised.replay import GenerativeReplay
from hvcl_repro.supervised.trainer import Trainer, Variant

Tensor = Any


class FineTune:
    """theta <- Adam on the cross-entropy of whatever arrives.

    Args: networks — makes the classifier; lr — of Adam; replay — old tasks' images to mix in, or None.
    """

    def __init__(self, networks: Networks, *, lr: float, replay: GenerativeReplay | None = None) -> None:
        self.trainer = Trainer(networks.classifier(), lr, replay)
        self.net = self.trainer.net

    def begin_task(self, task: int, n_train: int) -> None:
        """Before task number `task` (from 0) of n_train images."""
        self.trainer.begin_task(task, n_train)

    def observe(self, x: Tensor, y: Tensor, task: int) -> Tensor:
        """Learn one batch, x (B, inputs) in [0, 1], y (B,); returns its cross-entropy, nan if diverged."""
        step = self.trainer.step(x, y, task)
        self.trainer.apply(step.gradients)
        return step.told()

    def predict(self, x: Tensor, task: int) -> Tensor:
        """Returns logits (B, classes) of mean weights for images (B, inputs) in [0, 1]."""
        return self.net(x, task, training=False)

    def end_task(self, x: NDArray[Any], task: int) -> None:
        """After the task.  Args: x — its images, uint8 (n, inputs)."""
        self.trainer.end_task()

    def variant(self, task: int) -> Variant:
        """Returns what decides the graph of a step: another value, and `observe` has to be traced anew."""
        return self.trainer.variant(task)

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation at the next task needs."""
        return {"trainer": self.trainer.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.trainer.load(state["trainer"])


class ReInit(FineTune):
    """Fine-tuning from the same fresh weights in every task: what is left is what the tasks share."""

    def __init__(self, networks: Networks, *, lr: float) -> None:
        super().__init__(networks, lr=lr)
        self.fresh = self.net.get_weights()

    def begin_task(self, task: int, n_train: int) -> None:
        """Before a task: all weights as at the very start."""
        self.net.set_weights(self.fresh)
        super().begin_task(task, n_train)
