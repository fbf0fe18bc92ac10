"""Meta-Experience Replay: algorithms 1, 6 and 7 of the paper.

All three visit a batch of replayed examples and the current one singly, each an SGD step of its own, and
then move only a fraction of the way towards where those steps led (Reptile), which rewards gradients that
point the same way.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.engine import Engine
from mer_repro.memory import ReplayMemory
from mer_repro.networks import Problem, SharedNetwork
from mer_repro.sampling import LegacySampler

if TYPE_CHECKING:
    import torch


class MERTwoRates:
    """meralg1: s batches per example, current example first; rate beta within a batch, gamma across the
    batches.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        lr: float,
        memories: int,
        replay_batch_size: float,
        batches_per_example: float = 1,
        beta: float = 1.0,
        gamma: float = 1.0,
        s: float = 1.0,
    ) -> None:
        self.net = SharedNetwork(problem, lr)
        self.engine = self.net.engine
        self.memory = ReplayMemory(self.engine, memories, problem.make_sampler(self.engine, memories))
        self.alpha, self.beta, self.gamma = lr, beta, gamma
        self.n_batches, self.n_replay = int(batches_per_example), int(replay_batch_size)
        self.current_scale = s
        self.n_seen = 0

    def observe(self, x: NDArray[np.float32], y: NDArray[np.int64], task: int) -> None:
        """Learn the rows of a batch one by one: x (b, inputs), y (b,), all of one task."""
        for x_i, y_i in zip(x, y, strict=True):
            self.memory.stage(x_i, task, int(y_i))
            self.learn()
            self.n_seen += 1
            self.memory.keep()

    def learn(self) -> None:
        """Algorithm 1 for the staged example."""
        theta, memory = self.net.theta, self.memory
        start = self.engine.copy(theta)
        for _ in range(self.n_batches):
            before = self.engine.copy(theta)
            indices = np.append(memory.current, memory.sampler.sample(self.n_replay))
            self.engine.steps(theta, memory.rows, indices, self.alpha)
            self.engine.interpolate(theta, before, self.beta)
        if self.gamma != 1:
            self.engine.interpolate(theta, start, self.gamma)

    def predict(self, x: NDArray[np.float32], task: int) -> NDArray[np.float32]:
        """Returns logits (n, classes) of rows x (n, inputs)."""
        return self.net.predict(x)

    def network(self, t: int) -> tuple[Engine, Any]:
        """Returns the engine and parameters that predict task t."""
        return self.engine, self.net.theta

    def state_dict(self) -> "dict[str, torch.Tensor]":
        """Returns the parameters under the original's names."""
        return self.net.linears()

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation needs."""
        return {"net": self.net.state(), "memory": self.memory.state(), "n_seen": self.n_seen}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load(state["net"])
        self.memory.load(state["memory"])
        self.n_seen = int(state["n_seen"])


class MEROneRate(MERTwoRates):
    """meralg6: current example last in each batch, and one Reptile rate gamma after each batch."""

    def learn(self) -> None:
        """Algorithm 6 for the staged example."""
        theta, memory = self.net.theta, self.memory
        if isinstance(memory.sampler, LegacySampler):
            memory.sampler.sample(self.n_replay)  # the original draws one batch that it never uses
        for _ in range(self.n_batches):
            before = self.engine.copy(theta)
            indices = np.append(memory.sampler.sample(self.n_replay), memory.current)
            self.engine.steps(theta, memory.rows, indices, self.alpha)
            self.engine.interpolate(theta, before, self.gamma)


class MERCurrentRate(MERTwoRates):
    """meralg7: one batch in random order, the current example's loss multiplied by s; one Reptile rate
    gamma.
    """

    def learn(self) -> None:
        """Algorithm 7 for the staged example; the very first example is stored without being learned."""
        if self.n_seen == 0:
            return
        theta, memory = self.net.theta, self.memory
        before = self.engine.copy(theta)
        indices = np.append(memory.current, memory.sampler.sample(self.n_replay))
        indices = indices[memory.sampler.order(len(indices))]
        scale = np.where(indices == memory.current, self.current_scale, 1).astype(np.float32)
        self.engine.steps(theta, memory.rows, indices, self.alpha, scale)
        self.engine.interpolate(theta, before, self.gamma)
