"""Synaptic Intelligence: weights are held as firmly as their own movement has lowered the loss."""

from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from hvcl_repro.supervised import penalties
from hvcl_repro.supervised.methods.plain import FineTune
from hvcl_repro.supervised.networks import Networks
from hvcl_repro.supervised.replay import GenerativeReplay

Tensor = Any


class SI(FineTune):
    """Adam on cross-entropy + 1/2 · sum_i Omega_i (theta_i - theta*_i)²; the path counts the task's gradient.

    Args: si_c — strength; rest as in `FineTune`.
    Source: Zenke et al. 2017.
    """

    def __init__(
        self, networks: Networks, *, lr: float, si_c: float, replay: GenerativeReplay | None = None
    ) -> None:
        super().__init__(networks, lr=lr, replay=replay)
        self.c = si_c
        self.hold = penalties.Quadratic(self.net.weights)
        self.path = penalties.PathIntegral(self.net.weights)

    def observe(self, x: Tensor, y: Tensor, task: int) -> Tensor:
        """Learn one batch, as in `FineTune`."""
        weights = self.net.weights
        step = self.trainer.step(x, y, task)
        held = self.hold.gradients(weights)
        before = [tf.identity(w) for w in weights]
        self.trainer.apply([g + h for g, h in zip(step.gradients, held, strict=True)])
        self.path.add(step.gradients, before, weights)
        return step.told()

    def end_task(self, x: NDArray[Any], task: int) -> None:
        """After a task: what moved to good use is held."""
        weights = self.net.weights
        self.hold.close(weights, self.path.importance(self.hold.anchor, weights, self.c))
        super().end_task(x, task)

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation at the next task needs."""
        return {**super().state(), "hold": self.hold.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        super().load(state)
        self.hold.load(state["hold"])
