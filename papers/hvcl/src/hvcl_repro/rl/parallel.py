"""The original's parallel environments, on the core's.  Spec 3.7."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.envs import VectorEnv
from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM, maker
from hvcl_repro.rl.rewards import RewardScale

GAMMA = 0.99


class SubprocVecEnv:
    """N environments with padded observations, stepped together; episodes begin anew by themselves.

    Args: makers — one picklable function per environment; seeds — one each; norm_reward — divide rewards by
        the running deviation of the discounted return, one for all environments; num_workers — processes,
        None: one per environment, as the original, 0: none.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], Any]],
        seeds: Sequence[int],
        *,
        norm_reward: bool = True,
        largest_obs_dim: int = OBS_DIM,
        num_workers: int | None = None,
    ) -> None:
        self.no_of_envs = len(makers)
        workers = self.no_of_envs if num_workers is None else num_workers
        self._envs = VectorEnv(makers, largest_obs_dim, ACT_DIM, seeds, workers)
        self._scale = RewardScale(self.no_of_envs, GAMMA)
        self._norm = norm_reward
        self._pending: NDArray[np.float32] | None = None
        self._raw: NDArray[np.float64] = np.zeros(self.no_of_envs)

    def reset(self) -> NDArray[np.float32]:
        """Returns the first observations (N, largest_obs_dim); a step that is open is given up."""
        self._pending = None
        return self._envs.reset()

    def step(self, actions: Any) -> tuple[Any, Any, Any, tuple[dict[str, Any], ...]]:
        """Returns (observations, rewards (N,), dones (N,), infos), see `step_wait`."""
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: Any) -> None:
        """Note the actions, (N, actions) or (N, 1, actions).  Raises: RuntimeError if a step is open."""
        if self._pending is not None:
            raise RuntimeError("step_async: the step before has not been waited for")
        given = np.asarray(actions, np.float32).reshape(self.no_of_envs, -1)
        self._pending = np.zeros((self.no_of_envs, ACT_DIM), np.float32)
        self._pending[:, : given.shape[1]] = given

    def step_wait(self) -> tuple[Any, Any, Any, tuple[dict[str, Any], ...]]:
        """Returns the answer; infos have terminated, truncated, final_observation and raw_reward."""
        if self._pending is None:
            raise RuntimeError("step_wait: no step was begun")
        actions, self._pending = self._pending, None  # before: a step that raises is not open for ever
        got = self._envs.step(actions)
        done = got["terminated"] | got["truncated"]
        self._raw = got["reward"]
        self._scale.see(got["reward"], done)
        reward = self._scale.scaled(got["reward"].astype(np.float32)) if self._norm else got["reward"]
        infos = tuple(
            {
                "terminated": bool(got["terminated"][i]),
                "truncated": bool(got["truncated"][i]),
                "final_observation": got["last"][i],
                "raw_reward": float(got["reward"][i]),
            }
            for i in range(self.no_of_envs)
        )
        return got["obs"], reward, done, infos

    def get_rms(self) -> dict[str, Any]:
        """Returns the statistics of the rewards."""
        return self._scale.state()

    def get_original_reward(self) -> NDArray[np.float64]:
        """Returns the raw rewards of the last step (N,)."""
        return self._raw

    def close(self) -> None:
        """End all processes; may be called twice."""
        self._envs.close()

    def __enter__(self) -> "SubprocVecEnv":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_mp_envs(
    env_id: str,
    num_env: int,
    norm_reward: bool = True,
    seed: int = 1234,
    start_idx: int = 0,
    largest_obs_dim: int = OBS_DIM,
    num_workers: int | None = None,
) -> SubprocVecEnv:
    """Returns `num_env` copies of an environment; copy i is seeded seed + start_idx + i.

    Raises: UsageError for an unknown name or observations beyond `largest_obs_dim`.
    """
    seeds = [seed + start_idx + i for i in range(num_env)]
    return SubprocVecEnv(
        [maker(env_id)] * num_env, seeds, norm_reward=norm_reward, largest_obs_dim=largest_obs_dim,
        num_workers=num_workers,
    )  # fmt: skip
