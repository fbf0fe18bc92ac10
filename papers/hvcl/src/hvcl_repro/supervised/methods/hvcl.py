"""HVCL and, with one expert per layer, VCL: the posterior after a task is the prior of the next."""

from typing import Any

from numpy.typing import NDArray

from hvcl_repro.supervised.methods.plain import FineTune
from hvcl_repro.supervised.networks import Networks
from hvcl_repro.supervised.replay import GenerativeReplay
from hvcl_repro.supervised.trainer import Variant

# From here on the experts are so far apart that the determinant's gradient is nothing; what is left of it
# would cost a fifth of the step.
SETTLED = 0.999


class HVCL(FineTune):
    """Adam on cross-entropy + e_beta · KL(experts) / images + g_beta · KL(gates) - bonus · (I + det K).

    The bound of one task of n images, divided by n, has the experts' KL over n.  With replay the data's loss
    is a mean over the images of all t tasks, new ones with 1/t and replayed ones with 1 - 1/t, so the bound
    is divided by t·n and the KL is too.  The gates' terms are means over the images of a batch, half of them
    replayed, and are weighted by no 1/t.
    Args: networks — of MoVE layers; lr — of Adam; e_beta, g_beta — from the second task on; first_beta — both
    in the first, with replay no more than those, so that a term of no weight is not there at all; replay — or
    None.
    Source: spec 4.2, 4.4.
    """

    def __init__(
        self,
        networks: Networks,
        *,
        lr: float,
        e_beta: float,
        g_beta: float,
        first_beta: float,
        replay: GenerativeReplay | None = None,
    ) -> None:
        super().__init__(networks, lr=lr, replay=replay)
        self.betas, self.first_beta = (e_beta, g_beta), first_beta

    def begin_task(self, task: int, n_train: int) -> None:
        """Before a task: the weights of the layers' terms for this many images."""
        super().begin_task(task, n_train)
        mixes = self.trainer.mixes
        first = tuple(min(self.first_beta, beta) if mixes else self.first_beta for beta in self.betas)
        expert, gate = first if task == 0 else self.betas
        images = n_train * (task + 1) if mixes else n_train
        for layer in self.net.moves:
            layer.weigh(expert / images, gate, settled=SETTLED if mixes else None)

    def end_task(self, x: NDArray[Any], task: int) -> None:
        """After a task: what the layers know is what they are held to."""
        for layer in self.net.moves:
            layer.consolidate()
        super().end_task(x, task)

    def variant(self, task: int) -> Variant:
        """Returns also which terms have no weight."""
        return *super().variant(task), *(layer.omitted for layer in self.net.moves)
