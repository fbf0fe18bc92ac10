"""The learning-rate rule that the repository attributes to the paper.  Spec 3.6."""

import math
from typing import Any


class TALearningRateScheduler:
    """Falls by `factor` after each patience + 1 batches without progress; returns to the start on a lasting
    rise.

    Progress is a loss below best · (1 - threshold).  More than `patience` batches in a row whose loss exceeds
    best + reset_threshold mean a new task: the rate starts again.
    """

    def __init__(
        self,
        lr_init: float = 1e-3,
        factor: float = 0.9999,
        min_lr: float = 1e-5,
        patience: int = 5,
        threshold: float = 1e-4,
        reset_threshold: float = 1.0,
    ) -> None:
        self.lr_init, self.factor, self.min_lr = lr_init, factor, min_lr
        self.patience, self.threshold, self.reset_threshold = patience, threshold, reset_threshold
        self.reset()

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self._lr, self._best, self._stagnant, self._spike = self.lr_init, math.inf, 0, 0

    def step(self, loss: float) -> float:
        """Take note of a batch's loss; returns the rate for this batch's update."""
        if loss < self._best * (1 - self.threshold):
            self._best, self._stagnant = loss, 0
        else:
            self._stagnant += 1
        self._spike = self._spike + 1 if loss > self._best + self.reset_threshold else 0
        if self._spike > self.patience:
            self._lr, self._best, self._spike = self.lr_init, loss, 0
        if self._stagnant > self.patience:
            self._lr, self._stagnant = max(self.factor * self._lr, self.min_lr), 0
        return self._lr

    def get_lr(self) -> float:
        """Returns the present rate."""
        return self._lr

    def state(self) -> dict[str, Any]:
        """Returns rate and counters."""
        return {"lr": self._lr, "best": self._best, "stagnant": self._stagnant, "spike": self._spike}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self._lr, self._best = float(state["lr"]), float(state["best"])
        self._stagnant, self._spike = int(state["stagnant"]), int(state["spike"])
