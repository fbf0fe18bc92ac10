"""Environments with the interface of gym before 0.26, seen through gymnasium's."""

import inspect
from typing import Any


class Legacy:
    """An environment whose `reset()` returns an observation and whose `step` returns four values.

    What ends an episode is its time limit if `info["TimeLimit.truncated"]` says so, else the task itself.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Returns (observation, info).  Args: seed — handed to the environment's own `seed`."""
        if seed is not None:
            self.env.seed(seed)
        return self.env.reset(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Returns (observation, reward, terminated, truncated, info)."""
        observation, reward, done, info = self.env.step(action)
        truncated = bool(done and info.get("TimeLimit.truncated", False))
        return observation, float(reward), bool(done) and not truncated, truncated, info

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


def modern(env: Any) -> Any:
    """Returns `env`, or a `Legacy` around it if its `reset` takes no seed, as gym's before 0.26."""
    try:
        takes = inspect.signature(env.reset).parameters
    except (TypeError, ValueError):
        return env
    by_name = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values())
    return env if "seed" in takes or by_name else Legacy(env)
