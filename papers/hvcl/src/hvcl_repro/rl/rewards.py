"""One running scale of rewards for all environments; stored rewards stay raw.  Spec 7, item 20."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

CLIP = 10_000.0


class RewardScale:
    """The standard deviation of the discounted return, over everything seen in a task.

    Args: n — environments; gamma — discount.
    """

    def __init__(self, n: int, gamma: float) -> None:
        self.gamma, self.returns = gamma, np.zeros(n)
        self.count, self.mean, self.squares = 0.0, 0.0, 0.0

    def see(self, reward: NDArray[np.float64], done: NDArray[np.bool_]) -> None:
        """Note one step.  Args: reward (n,); done (n,), whose returns begin anew after it."""
        self.returns = self.returns * self.gamma + reward
        batch, mean = len(reward), float(self.returns.mean())
        delta, total = mean - self.mean, self.count + batch
        # Chan's formula for joining two sets of observations.
        self.squares += float(((self.returns - mean) ** 2).sum()) + delta**2 * self.count * batch / total
        self.mean, self.count = self.mean + delta * batch / total, total
        self.returns[done] = 0.0

    def scaled(self, reward: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns rewards divided by the deviation, within ± 10,000."""
        deviation = np.sqrt(self.squares / self.count + 1e-8) if self.count > 1 else 1.0
        scaled: NDArray[np.float32] = np.clip(reward / deviation, -CLIP, CLIP).astype(np.float32)
        return scaled

    def state(self) -> dict[str, Any]:
        """Returns all numbers."""
        return {"returns": self.returns.copy(), "numbers": [self.count, self.mean, self.squares]}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.returns = np.asarray(state["returns"], np.float64).copy()
        self.count, self.mean, self.squares = state["numbers"]
