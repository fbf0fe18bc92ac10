"""Whole episodes of a policy in several copies of one environment at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.envs import VectorEnv
from clrepro.errors import DataError
from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM, maker

Policy = Callable[[NDArray[np.float32]], NDArray[np.float32]]
LONGEST = 1000  # steps, the environments' own limit
MOST_TRIES = 3


class Examiner:
    """Runs one episode in each of n copies of an environment.

    Args: env_id; seeds — one per copy, the same at every examination; n_workers — processes, 0: here.
    """

    def __init__(self, env_id: str, seeds: Sequence[int], n_workers: int = 0) -> None:
        self.env_id, self._seeds = env_id, list(seeds)
        self._envs = VectorEnv([maker(env_id)] * len(self._seeds), OBS_DIM, ACT_DIM, self._seeds, n_workers)

    @property
    def restarts(self) -> int:
        """How many workers were started again so far."""
        return self._envs.restarts

    def returns(self, policy: Policy) -> tuple[NDArray[np.float64], int]:
        """Returns (raw return of each episode (n,), environment steps taken).

        An examination in which a worker died is done again: part of an episode has no return.
        Raises: DataError if that happens again and again.
        """
        for _ in range(MOST_TRIES):
            total, steps = self._episodes(policy)
            if np.isfinite(total).all():
                return total, steps
        raise DataError(f"{self.env_id}: a worker died in each of {MOST_TRIES} examinations")

    def _episodes(self, policy: Policy) -> tuple[NDArray[np.float64], int]:
        """Returns as `returns`, with nan for episodes that were cut off by the death of their worker."""
        seen = self._envs.renew(self._seeds)
        total, running, steps = np.zeros(len(seen)), np.ones(len(seen), bool), 0
        for _ in range(LONGEST):
            got = self._envs.step(policy(seen), running)
            steps += int(running.sum())
            total += np.where(running, got["reward"], 0.0)
            total[running & ~np.isfinite(got["last"]).all(axis=1)] = np.nan
            running &= ~(got["terminated"] | got["truncated"])
            seen = got["obs"]
            if not running.any():
                break
        return total, steps

    def close(self) -> None:
        """Close the environments."""
        self._envs.close()


def floors(env_ids: Sequence[str], seed: int, episodes: int) -> dict[str, list[float]]:
    """Returns the mean raw returns of a random policy and of no action, one number per environment."""
    out: dict[str, list[float]] = {"random": [], "idle": []}
    for number, env_id in enumerate(env_ids):
        examiner = Examiner(env_id, [seed + i for i in range(episodes)])
        rng = np.random.default_rng([seed, number])
        policies: dict[str, Any] = {
            "random": lambda seen, rng=rng: rng.uniform(-1, 1, (len(seen), ACT_DIM)).astype(np.float32),
            "idle": lambda seen: np.zeros((len(seen), ACT_DIM), np.float32),
        }
        for name, policy in policies.items():
            out[name].append(float(examiner.returns(policy)[0].mean()))
        examiner.close()
    return out
