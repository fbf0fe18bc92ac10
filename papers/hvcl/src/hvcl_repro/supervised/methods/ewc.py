"""Elastic weight consolidation: weights are held as firmly as Fisher's information says that they matter."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hvcl_repro.supervised import penalties
from hvcl_repro.supervised.methods.plain import FineTune
from hvcl_repro.supervised.networks import Networks
from hvcl_repro.supervised.replay import GenerativeReplay

Tensor = Any


class EWC(FineTune):
    """Adam on cross-entropy + 1/2 · sum_i F_i (theta_i - theta*_i)²: F summed over tasks, one anchor.

    Args: ewc_lambda — factor of F; fisher_samples — images for it; rest as in `FineTune`.
    Source: Kirkpatrick et al. 2017, in its online form.
    """

    def __init__(
        self,
        networks: Networks,
        *,
        lr: float,
        ewc_lambda: float,
        fisher_samples: int,
        replay: GenerativeReplay | None = None,
    ) -> None:
        super().__init__(networks, lr=lr, replay=replay)
        self.strength, self.samples = ewc_lambda, fisher_samples
        self.draws = networks.seeds.generator("fisher")
        self.hold = penalties.Quadratic(self.net.weights)

    def observe(self, x: Tensor, y: Tensor, task: int) -> Tensor:
        """Learn one batch, as in `FineTune`."""
        step = self.trainer.step(x, y, task)
        held = self.hold.gradients(self.net.weights)
        self.trainer.apply([g + h for g, h in zip(step.gradients, held, strict=True)])
        return step.told()

    def end_task(self, x: NDArray[Any], task: int) -> None:
        """After a task: add its Fisher information, and hold the weights where they are."""
        chosen = self.draws.choice(len(x), min(self.samples, len(x)), replace=False)
        images = x[chosen].astype(np.float32) / 255.0
        more = penalties.fisher(lambda rows: self.predict(rows, task), self.net.weights, images, self.draws)
        self.hold.close(self.net.weights, [self.strength * f for f in more])
        super().end_task(x, task)

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation at the next task needs."""
        return {**super().state(), "hold": self.hold.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        super().load(state)
        self.hold.load(state["hold"])
