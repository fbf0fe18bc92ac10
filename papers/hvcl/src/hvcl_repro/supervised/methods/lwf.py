"""Learning without forgetting: the old network's answers to the new images are kept."""

from typing import Any

from numpy.typing import NDArray

from hvcl_repro.supervised import penalties
from hvcl_repro.supervised.methods.plain import FineTune
from hvcl_repro.supervised.networks import Networks
from hvcl_repro.supervised.trainer import Variant

Tensor = Any


class LwF(FineTune):
    """Adam on cross-entropy / t + (1 - 1/t) · distillation of the old network, T = 2, in the t-th task.

    Source: Li and Hoiem 2016; weights and temperature as in van de Ven et al. 2022.
    With a head per task the old network is asked about every old head, and the heads' distances averaged.
    """

    def __init__(self, networks: Networks, *, lr: float) -> None:
        super().__init__(networks, lr=lr)
        self.old = networks.classifier()

    def observe(self, x: Tensor, y: Tensor, task: int) -> Tensor:
        """Learn one batch, as in `FineTune`."""
        step = self.trainer.step(x, y, task, lambda loss, logits: self.with_old(loss, x, logits, task))
        self.trainer.apply(step.gradients)
        return step.told()

    def with_old(self, loss: Tensor, x: Tensor, logits: Tensor, task: int) -> Tensor:
        """Returns the loss with what the old network says.  Args: logits — of the new one on x."""
        if task == 0:
            return loss
        new = 1.0 / (task + 1.0)
        if len(self.net.heads) == 1:
            kept = penalties.distillation(logits, self.old(x, task, training=False))
        else:
            h = self.net.body(x, training=True)
            kept = penalties.kept_answers(self.net, h, self.old, x, task)
        return new * loss + (1.0 - new) * kept

    def end_task(self, x: NDArray[Any], task: int) -> None:
        """After a task: the network is the old one."""
        self.old.set_weights(self.net.get_weights())
        super().end_task(x, task)

    def variant(self, task: int) -> Variant:
        """Returns the task: its number is a weight in the graph."""
        return *super().variant(task), task

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation at the next task needs."""
        return {**super().state(), "old": self.old.get_weights()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        super().load(state)
        self.old.set_weights(state["old"])
