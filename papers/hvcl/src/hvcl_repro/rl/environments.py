"""The sequences of environments under the original's names, and what their port needs.  Spec 5."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from clrepro.errors import UsageError
from hvcl_repro.rl.points import POINTS, Point

OBS_DIM, ACT_DIM = 28, 8  # of the padded spaces: Ant's


@dataclass(frozen=True)
class Known:
    """An environment: the port's name, its sizes, and the mean returns of a random policy and of no action
    (measured on the port, spec 5.2; None where not).
    """

    port: str
    obs: int
    act: int
    random_return: float | None
    idle_return: float | None


KNOWN = {
    "Walker2DPyBulletEnv-v0": Known("Walker2DBulletEnv-v0", 22, 6, 17.1, 36.0),
    "HalfCheetahPyBulletEnv-v0": Known("HalfCheetahBulletEnv-v0", 26, 6, None, None),
    "AntPyBulletEnv-v0": Known("AntBulletEnv-v0", 28, 8, 497.9, 10.0),
    "InvertedDoublePendulumPyBulletEnv-v0": Known("InvertedDoublePendulumBulletEnv-v0", 9, 1, 288.7, 376.0),
    "HopperPyBulletEnv-v0": Known("HopperBulletEnv-v0", 15, 3, 19.8, 45.5),
    "InvertedPendulumPyBulletEnv-v0": Known("InvertedPendulumBulletEnv-v0", 5, 1, None, None),
}
SETS = {
    "pybullet": tuple(KNOWN)[:5],
    "quick": (
        "InvertedPendulumPyBulletEnv-v0",
        "InvertedDoublePendulumPyBulletEnv-v0",
        "HopperPyBulletEnv-v0",
    ),
    "toy": tuple(POINTS),
}


def maker(env_id: str) -> Callable[[], Any]:
    """Returns a picklable function that makes the environment.  Raises: UsageError for an unknown name."""
    if env_id not in KNOWN and env_id not in POINTS:
        raise UsageError(f"environment {env_id!r}: one of {', '.join([*KNOWN, *POINTS])}")
    return partial(make, env_id)


def make(env_id: str) -> Any:
    """Returns the environment: a toy, or the port's with the original's end of episodes."""
    if env_id in POINTS:
        return Point(**POINTS[env_id])
    with silence():  # the physics engine prints its build time
        import gymnasium
        import pybullet_envs_gymnasium  # noqa: F401 (registers the names)

        env = gymnasium.make(KNOWN[env_id].port, disable_env_checker=True)
    return Bullet(env, falls=env_id.startswith("HalfCheetah"))


class Bullet:
    """An environment of the port that connects to its physics in silence, and whose robot can fall.

    Args: env; falls — end the episode when the robot has fallen: pybullet-gym's HalfCheetah does and the
        port's does not.  Without it a random policy collects -1338 over 1000 steps, and no quotient of
        returns means anything.
    Source: spec 5.2, difference 1.
    """

    def __init__(self, env: Any, falls: bool) -> None:
        self.env, self.falls, self.connected = env, falls, False
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Returns (observation, info)."""
        # The first reset connects, and each connection prints a line from C.
        with contextlib.nullcontext() if self.connected else silence():
            first: tuple[Any, dict[str, Any]] = self.env.reset(seed=seed, options=options)
        self.connected = True
        return first

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Returns gymnasium's five values; terminated once the robot's alive bonus is negative."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        fallen = self.falls and float(getattr(self.env.unwrapped, "_alive", 1.0)) < 0
        return observation, reward, bool(terminated or fallen), truncated, info

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing that C code prints reaches the terminal while this is open."""
    c = ctypes.CDLL(None)
    _flush(c)
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        _flush(c)  # else what is buffered comes out later
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
        for number in (*kept, nowhere):
            os.close(number)


def _flush(c: Any) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    c.fflush(None)


def sizes(env_ids: tuple[str, ...]) -> list[tuple[int, int]]:
    """Returns (observations, actions) of each environment."""
    toys = {
        name: (Point(**options).observation_space.shape[0], options["axes"])
        for name, options in POINTS.items()
    }
    return [toys[name] if name in toys else (KNOWN[name].obs, KNOWN[name].act) for name in env_ids]


def mask(n_actions: int) -> Any:
    """Returns float32 (ACT_DIM,): 1 for the environment's own actions, 0 for the padding."""
    return (np.arange(ACT_DIM) < n_actions).astype(np.float32)
