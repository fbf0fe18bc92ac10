"""UCL: weights into and out of certain nodes are held."""

from typing import Any

from numpy.typing import NDArray

from hvcl_repro.supervised import penalties
from hvcl_repro.supervised.methods.plain import FineTune
from hvcl_repro.supervised.networks import Networks
from hvcl_repro.supervised.trainer import Variant

Tensor = Any


class UCL(FineTune):
    """Adam on cross-entropy + the penalty of `penalties.CertainNodes`, which stands in for the layers' KL.

    Args: networks — of MoVE layers of one expert, one deviation per node; rho_init — of it at the start;
    ucl_beta — weight of its term; batch — images per step; rest as in `FineTune`.
    Source: Ahn et al. 2019.
    """

    def __init__(
        self, networks: Networks, *, lr: float, rho_init: float, ucl_beta: float, batch: int
    ) -> None:
        super().__init__(networks, lr=lr)
        self.nodes = penalties.CertainNodes(rho_init, ucl_beta, batch)
        for layer in self.net.moves:
            layer.weigh(0.0, 0.0)

    def observe(self, x: Tensor, y: Tensor, task: int) -> Tensor:
        """Learn one batch, as in `FineTune`."""
        step = self.trainer.step(x, y, task, lambda loss, _: loss + self.penalty(task))
        self.trainer.apply(step.gradients)
        return step.told()

    def penalty(self, task: int) -> Tensor:
        """Returns the penalty of the layers that task number `task` uses, a scalar."""
        return self.nodes.loss(self.net.moves_of(task), later=task > 0)

    def end_task(self, x: NDArray[Any], task: int) -> None:
        """After a task: the posterior is what the next is held to."""
        for layer in self.net.moves:
            layer.consolidate()
        super().end_task(x, task)

    def variant(self, task: int) -> Variant:
        """Returns also whether there is anything to be held to."""
        return *super().variant(task), task > 0
