"""What an environment offers to the loop: many copies stepped together, torch tensors in and out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Step:
    """One step of n environments, all (n, …), float32 or bool.

    obs: what to act on next, of a new episode where one ended; next_obs: what the step led to, before any
    reset; terminated: the task ended the episode; truncated: the horizon did; success: a goal is reached now.
    """

    obs: Tensor
    next_obs: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    success: Tensor
    distance: Tensor | None = None  # of the object to its goal, where the task has one

    @property
    def ended(self) -> Tensor:
        """Episodes that ended, bool (n,)."""
        return self.terminated | self.truncated


class VectorEnv(Protocol):
    """n_envs copies of one task; `horizon`, steps of an episode, may be set."""

    n_envs: int
    n_in: int
    n_actions: int
    horizon: int

    def reset(self, seed: int) -> Tensor:
        """Start new episodes, chosen by the seed alone; returns observations float32 (n_envs, n_in)."""
        ...

    def step(self, action: Tensor) -> Step:
        """Act in every copy; actions (n_envs, n_actions) in [-1, 1]."""
        ...

    def state(self) -> dict[str, Any]:
        """Returns everything that the next steps depend on."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        ...


@dataclass(frozen=True)
class Task:
    """A place in the sequence.

    Attributes: name — of the change of the environment; task_id — 0-based place; n_interactions — environment
    steps of training, None for a test; make — a function that returns its environments.
    """

    name: str
    task_id: int
    n_interactions: int | None
    make: Callable[[], VectorEnv]


@dataclass(frozen=True)
class Scenario:
    """A sequence of tasks of one domain; backend: which simulator, with its reason, as results say it."""

    name: str
    sequence: tuple[str, ...]
    n_in: int
    n_actions: int
    n_steps: int
    make: Callable[[str], VectorEnv]
    backend: str
    reason: str
    compile_s: Callable[[], float] = lambda: 0.0

    def train_tasks(self) -> list[Task]:
        """Returns the tasks in the order in which they are learnt."""
        return [self._task(i, name, self.n_steps) for i, name in enumerate(self.sequence)]

    def test_tasks(self) -> list[Task]:
        """Returns the same tasks in the same order, to be evaluated on."""
        return [self._task(i, name, None) for i, name in enumerate(self.sequence)]

    def _task(self, i: int, name: str, n_interactions: int | None) -> Task:
        return Task(name, i, n_interactions, lambda: self.make(name))
