"""Toy tasks: push a point mass to a goal; they differ in axes, goal, sign of the push and sizes."""

from typing import Any

import numpy as np

LIMIT = 50
POINTS: dict[str, dict[str, Any]] = {
    "PointRight-v0": {"axes": 1, "goal": 0.6, "sign": 1.0, "extra": 0},
    "PointLeft-v0": {"axes": 2, "goal": -0.6, "sign": 1.0, "extra": 2},
    "PointMirror-v0": {"axes": 1, "goal": 0.6, "sign": -1.0, "extra": 4},
}


class Room:
    """A box of numbers."""

    def __init__(self, size: int, bound: float) -> None:
        self.shape = (size,)
        self.low, self.high = np.full(size, -bound, np.float32), np.full(size, bound, np.float32)


class Point:
    """A point at x, moved by 0.1 · sign · action; the reward is 1 - |x - goal|², its mean over the axes.

    Args: axes — of position and action; goal — on every axis; extra — constant ones appended to what is seen.
    The best policy moves straight there: its return is known (see `best_return`).
    """

    def __init__(self, axes: int, goal: float, sign: float, extra: int) -> None:
        self.axes, self.goal, self.sign, self.extra = axes, goal, sign, extra
        self.observation_space, self.action_space = Room(axes + extra, np.inf), Room(axes, 1.0)
        self._rng = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Returns (observation, {}); starts anywhere in [-0.2, 0.2] on every axis."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._x, self._t = self._rng.uniform(-0.2, 0.2, self.axes), 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Returns gymnasium's five values; cut off after 50 steps."""
        self._x = np.clip(self._x + 0.1 * self.sign * np.asarray(action, np.float64), -1.5, 1.5)
        self._t += 1
        reward = 1.0 - float(np.mean((self._x - self.goal) ** 2))
        return self._seen(), reward, False, self._t >= LIMIT, {}

    def best_return(self) -> float:
        """Returns the return of the best policy from the centre: 0.1 a step until the goal is reached."""
        left = np.maximum(abs(self.goal) - 0.1 * np.arange(1, LIMIT + 1), 0.0)
        return float(np.sum(1.0 - left**2))

    def close(self) -> None:
        """Nothing to close."""

    def _seen(self) -> Any:
        return np.concatenate([self._x, np.ones(self.extra)]).astype(np.float32)
