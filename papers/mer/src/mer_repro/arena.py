"""MER's methods in the arena: fine-tuning, joint, ER, DER++, GEM, EWC and MER, through this paper's code.

The classes hold no algorithm.  Defaults are those of the paper's command lines for permutations and a memory
of 200 (mer_examples.sh); where a step is on a whole batch here and was on one example there, the rate is
multiplied by the batch size of the arena, 10.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clrepro.arena.contract import array_bytes
from clrepro.arena.spec import Space, Spec
from clrepro.seeding import Seeds

NEEDS = ("torch", "numba")
RATE = (0.003, 0.3, "log")
Rows = NDArray[np.float32]
Labels = NDArray[np.int64]


def problem(spec: Spec, seed: int) -> Any:
    """Returns the paper's `Problem` for a spec, with the generators of a seed."""
    from mer_repro.networks import Problem
    from mer_repro.rngs import Rngs

    return Problem(
        n_inputs=spec.n_inputs, n_outputs=spec.n_classes, n_tasks=spec.n_tasks, rngs=Rngs(seed),
        n_hiddens=spec.hidden[0], n_layers=len(spec.hidden), batch_size=spec.batch_size,
    )  # fmt: skip


class _Told:
    """A method of the paper as the arena calls it; `name` is its key in `mer_repro.methods.METHODS`."""

    name = ""

    def __init__(self, spec: Spec, seed: int, **options: Any) -> None:
        from mer_repro.methods import METHODS

        self.problem = problem(spec, seed)
        self.learner = METHODS[self.name](self.problem, **options)

    def predict(self, x: Rows) -> Rows:
        """Returns logits (n, classes)."""
        logits: Rows = self.learner.predict(x, 0)
        return logits

    def state(self) -> dict[str, Any]:
        """Returns what an exact continuation needs."""
        return {"learner": self.learner.state(), "rngs": self.problem.rngs.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.learner.load(state["learner"])
        self.problem.rngs.load(state["rngs"])

    def memory_bytes(self) -> int:
        """Returns the bytes of the arrays that it keeps."""
        return array_bytes(self.learner.state())


class _NotTold(_Told):
    """As `_Told`, for methods that do not look at the task."""

    def observe(self, x: Rows, y: Labels) -> None:
        """Learn a batch x (b, inputs), y (b,)."""
        self.learner.observe(x, y, 0)


class FineTuning(_NotTold):
    """SGD on whatever arrives: the lower bound."""

    name = "online"
    SPACE: ClassVar[Space] = {"lr": RATE}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 0.03) -> None:
        super().__init__(spec, seed, lr=lr)


class Joint:
    """After each task, SGD from the start on all examples so far, in five passes: what keeping all gives."""

    SPACE: ClassVar[Space] = {"lr": RATE}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 0.1, passes: int = 5) -> None:
        self.spec, self.seed, self.lr, self.passes = spec, seed, lr, passes
        self.seeds = Seeds(seed)
        self.x: list[NDArray[np.uint8]] = []
        self.y: list[Labels] = []
        self.network = FineTuning(spec, seed=seed, lr=lr)

    def observe(self, x: Rows, y: Labels) -> None:
        """Keep a batch."""
        self.x.append(np.rint(255 * x).astype(np.uint8))
        self.y.append(y.copy())

    def end_task(self) -> None:
        """Learn everything that was kept, from the beginning."""
        self.network = FineTuning(self.spec, seed=self.seed, lr=self.lr)
        x, y = np.concatenate(self.x), np.concatenate(self.y)
        orders = (self.seeds["order"].permutation(len(y)) for _ in range(self.passes))
        starts = range(0, len(y), self.spec.batch_size)
        for rows in (order[start : start + self.spec.batch_size] for order in orders for start in starts):
            self.network.observe(x[rows].astype(np.float32) / np.float32(255), y[rows])

    def predict(self, x: Rows) -> Rows:
        """Returns logits (n, classes)."""
        return self.network.predict(x)

    def state(self) -> dict[str, Any]:
        """Returns what an exact continuation needs."""
        x = np.concatenate(self.x) if self.x else np.empty((0, self.spec.n_inputs), np.uint8)
        y = np.concatenate(self.y) if self.y else np.empty(0, np.int64)
        return {"x": x, "y": y, "network": self.network.state(), "seeds": self.seeds.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.x, self.y = [np.array(state["x"])], [np.array(state["y"])]
        self.network.restore(state["network"])
        self.seeds.load(state["seeds"])

    def memory_bytes(self) -> int:
        """Returns the bytes of the examples and the network."""
        return array_bytes([self.x, self.y]) + self.network.memory_bytes()


class ER(_NotTold):
    """Experience replay: a step on each example together with a draw from a reservoir (algorithm 4)."""

    name = "eralg4"
    SPACE: ClassVar[Space] = {"lr": RATE, "replay_batch_size": (5, 10, 20, 50)}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 0.1, replay_batch_size: int = 10) -> None:
        super().__init__(spec, seed, lr=lr, memories=spec.memory, replay_batch_size=replay_batch_size)


class DERPlusPlus(_NotTold):
    """Dark experience replay ++: replay of remembered answers and labels from a reservoir."""

    name = "derpp"
    SPACE: ClassVar[Space] = {"lr": RATE, "der_alpha": (0.1, 0.2, 0.5, 1.0), "der_beta": (0.5, 1.0)}

    def __init__(
        self, spec: Spec, *, seed: int, lr: float = 0.1, replay_batch_size: int = 10,
        der_alpha: float = 0.5, der_beta: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__(
            spec, seed, lr=lr, memories=spec.memory, replay_batch_size=replay_batch_size, der_alpha=der_alpha,
            der_beta=der_beta,
        )  # fmt: skip


class GEM(_Told):
    """Gradient episodic memory: steps that raise no loss on finished tasks' examples."""

    name = "gem"
    SPACE: ClassVar[Space] = {"lr": RATE, "memory_strength": (0.0, 0.1, 0.5, 1.0)}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 0.1, memory_strength: float = 0.0) -> None:
        super().__init__(spec, seed, lr=lr, n_memories=spec.memory_per_task, memory_strength=memory_strength)

    def observe(self, x: Rows, y: Labels, task: int) -> None:
        """Learn a batch x (b, inputs), y (b,) of a task."""
        self.learner.observe(x, y, task)


class EWC(_Told):
    """Elastic weight consolidation: weights that mattered are held, one term per finished task."""

    name = "ewc"
    SPACE: ClassVar[Space] = {"lr": RATE, "memory_strength": (0.1, 1000.0, "log")}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 0.1, memory_strength: float = 10.0) -> None:
        super().__init__(spec, seed, lr=lr, n_memories=spec.memory_per_task, memory_strength=memory_strength)

    def observe(self, x: Rows, y: Labels, task: int) -> None:
        """Learn a batch x (b, inputs), y (b,) of a task."""
        self.learner.observe(x, y, task)


class MER1(_NotTold):
    """Meta-experience replay, algorithm 1: Reptile within and across batches of replay."""

    name = "meralg1"
    SPACE: ClassVar[Space] = {"lr": RATE, "beta": (0.01, 0.03, 0.1, 0.3, 1.0), "gamma": (0.1, 0.3, 1.0)}

    def __init__(
        self, spec: Spec, *, seed: int, lr: float = 0.03, replay_batch_size: int = 10,
        batches_per_example: int = 10, beta: float = 0.03, gamma: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(
            spec, seed, lr=lr, memories=spec.memory, replay_batch_size=replay_batch_size,
            batches_per_example=batches_per_example, beta=beta, gamma=gamma,
        )  # fmt: skip


class MER6(_NotTold):
    """Meta-experience replay, algorithm 6: the current example last, one Reptile rate."""

    name = "meralg6"
    SPACE: ClassVar[Space] = {"lr": RATE, "gamma": (0.01, 0.03, 0.1, 0.3, 1.0)}

    def __init__(
        self, spec: Spec, *, seed: int, lr: float = 0.1, replay_batch_size: int = 5,
        batches_per_example: int = 1, gamma: float = 0.03,
    ) -> None:  # fmt: skip
        super().__init__(
            spec, seed, lr=lr, memories=spec.memory, replay_batch_size=replay_batch_size,
            batches_per_example=batches_per_example, gamma=gamma,
        )  # fmt: skip


class MER7(_NotTold):
    """Meta-experience replay, algorithm 7: the current example's loss is weighted, one Reptile rate."""

    name = "meralg7"
    SPACE: ClassVar[Space] = {"lr": RATE, "gamma": (0.01, 0.03, 0.1, 0.3, 1.0), "s": (1, 2, 5, 10)}

    def __init__(
        self, spec: Spec, *, seed: int, lr: float = 0.03, replay_batch_size: int = 5, gamma: float = 0.1,
        s: float = 2.0,
    ) -> None:  # fmt: skip
        super().__init__(
            spec, seed, lr=lr, memories=spec.memory, replay_batch_size=replay_batch_size, gamma=gamma, s=s
        )


METHODS: dict[str, type[Any]] = {
    "fine-tuning": FineTuning,
    "joint": Joint,
    "er": ER,
    "derpp": DERPlusPlus,
    "gem": GEM,
    "ewc": EWC,
    "mer1": MER1,
    "mer6": MER6,
    "mer7": MER7,
}
