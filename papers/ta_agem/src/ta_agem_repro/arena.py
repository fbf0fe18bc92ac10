"""TA-A-GEM's methods in the arena: A-GEM with reservoirs or clusters per class, through this paper's code.

The classes hold no algorithm.  The paper's rate, 0.001, is for twenty passes over each task; for the arena's
one pass the default is that of GEM there.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clrepro.arena.contract import array_bytes
from clrepro.arena.spec import Space, Spec

NEEDS = ("numba",)
SPACE: Space = {"lr": (0.003, 0.3, "log"), "memory_size_p": (1, 2, 4)}
Rows = NDArray[np.float32]
Labels = NDArray[np.int64]


class _AGEM:
    """A method of the paper as the arena calls it; `name` is its key in `ta_agem_repro.methods.METHODS`.

    The memory is shared out to the classes, memory_size_p samples to a cluster.
    Raises: UsageError for more classes than the paper's network has.
    """

    name = ""
    removal: ClassVar[dict[str, str]] = {}
    SPACE: ClassVar[Space] = SPACE

    def __init__(self, spec: Spec, *, seed: int, lr: float = 0.1, memory_size_p: int = 2) -> None:
        from clrepro.errors import UsageError
        from clrepro.seeding import Seeds
        from ta_agem_repro.fused_engine import FusedEngine
        from ta_agem_repro.methods import METHODS
        from ta_agem_repro.networks import N_CLASSES, initial_layers

        if spec.n_classes > N_CLASSES:
            raise UsageError(f"{spec.n_classes} classes: this paper's network has {N_CLASSES} outputs")
        q = max(1, spec.memory // (spec.n_classes * memory_size_p))
        self.spec, self.seeds = spec, Seeds(seed)
        layers = initial_layers(self.seeds["init"], input_dim=spec.n_inputs, hidden_dim=spec.hidden[0])
        engine = FusedEngine(layers, q * memory_size_p * spec.n_classes)
        self.learner = METHODS[self.name](
            engine, self.seeds["memory"], self.seeds["draw"], learning_rate=lr, batch_size=spec.batch_size,
            memory_size_q=q, memory_size_p=memory_size_p, num_pools=spec.n_classes, **self.removal,
        )  # fmt: skip

    def observe(self, x: Rows, y: Labels) -> None:
        """Learn a batch x (b, inputs), y (b,), and remember what the memory takes of it."""
        self.learner.sampling_rate = len(y)  # every sample is offered
        self.learner.observe(np.rint(255 * x).astype(np.uint8), y, 0)

    def predict(self, x: Rows) -> Rows:
        """Returns logits (n, classes)."""
        return np.asarray(self.learner.predict(x, 0)[:, : self.spec.n_classes])

    def state(self) -> dict[str, Any]:
        """Returns what an exact continuation needs."""
        return {"learner": self.learner.state(), "seeds": self.seeds.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.learner.load(state["learner"])
        self.seeds.load(state["seeds"])

    def memory_bytes(self) -> int:
        """Returns the bytes of the network and of the memory, which this code holds twice."""
        return array_bytes(self.learner.state())


class AGEM(_AGEM):
    """A-GEM: steps that raise no loss on a batch from a reservoir of each class."""

    name = "agem-reservoir"


class TAAGEMOldest(_AGEM):
    """TA-A-GEM: A-GEM whose memory is clusters per class; the oldest sample leaves."""

    name = "ta-agem"
    removal: ClassVar[dict[str, str]] = {"removal_function": "remove_oldest"}


class TAAGEMMean(_AGEM):
    """TA-A-GEM: A-GEM whose memory is clusters per class; the sample farthest from the mean leaves."""

    name = "ta-agem"
    removal: ClassVar[dict[str, str]] = {"removal_function": "remove_based_on_mean"}


METHODS: dict[str, type[Any]] = {
    "a-gem": AGEM,
    "ta-a-gem-oldest": TAAGEMOldest,
    "ta-a-gem-mean": TAAGEMMean,
}
