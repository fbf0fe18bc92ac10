"""One environment with padded spaces that begins its next episode by itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.envs.legacy import modern
from clrepro.errors import UsageError

Row = NDArray[np.float32]


class PaddedEnv:
    """An environment whose observations are padded with zeros and whose actions are cut to its own.

    Args: make — returns the environment; obs_dim, act_dim — of the padded spaces; seed — of its first reset.
    Raises: UsageError if a space is larger than the padding.
    """

    def __init__(self, make: Callable[[], Any], obs_dim: int, act_dim: int, seed: int) -> None:
        self._make, self.obs_dim, self.act_dim = make, obs_dim, act_dim
        self.env: Any = None
        self.renew(seed)

    def renew(self, seed: int) -> None:
        """Make the environment anew: nothing that happened before has an influence on what comes."""
        self.close()
        self.env = modern(self._make())
        self._seed: int | None = seed
        sizes = [int(np.prod(space.shape)) for space in (self.env.observation_space, self.env.action_space)]
        for name, size, room in zip(
            ("observation", "action"), sizes, (self.obs_dim, self.act_dim), strict=True
        ):
            if size > room:
                raise UsageError(f"{name} of {size} numbers: the padded space has room for {room}")
        self.n_actions = sizes[1]
        self._low, self._high = self.env.action_space.low, self.env.action_space.high

    def reset(self) -> Row:
        """Returns the first observation (obs_dim,) of a new episode; only the first reset is seeded."""
        seed, self._seed = self._seed, None
        return self._padded(self.env.reset(seed=seed)[0])

    def step(self, action: Row) -> tuple[Row, float, bool, bool, Row]:
        """Returns (observation, reward, terminated, truncated, last observation of the episode or the same).

        Args: action — (act_dim,) in [-1, 1], of which the first are the environment's.
        """
        own = np.clip(action[: self.n_actions], self._low.ravel(), self._high.ravel())
        seen, reward, terminated, truncated, _ = self.env.step(own.reshape(self._low.shape))
        last = self._padded(seen)
        done = terminated or truncated
        return (self.reset() if done else last), float(reward), bool(terminated), bool(truncated), last

    def close(self) -> None:
        """Close the environment; may be called twice."""
        env, self.env = self.env, None
        if env is not None:
            env.close()

    def _padded(self, seen: Any) -> Row:
        row = np.zeros(self.obs_dim, np.float32)
        flat = np.asarray(seen, np.float32).ravel()
        row[: flat.size] = flat
        return row
