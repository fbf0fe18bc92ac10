"""TAG and Stable SGD in the arena, through this paper's code.

The classes hold no algorithm.  Defaults are those of the paper folder's lines for permuted MNIST at batches
of ten (profiles.toml).  Tasks are counted by their ends.
"""

from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clrepro.arena.contract import array_bytes
from clrepro.arena.spec import Space, Spec

NEEDS = ("torch", "numba")
Rows = NDArray[np.float32]
Labels = NDArray[np.int64]


def task_stream(spec: Spec) -> Any:
    """Returns what this paper's networks want to know of a stream: one head, no images."""
    from clrepro.streams import Stream
    from tag_repro.task_stream import TaskStream

    def nothing() -> Any:
        raise AssertionError("the arena hands the images over")

    stream = Stream("arena", [nothing] * spec.n_tasks, spec.n_inputs, spec.n_classes)
    return TaskStream("arena", stream, spec.n_classes, False, {}, replay_classes=spec.n_classes)


class _Counted:
    """A learner of this paper that is told of tasks' ends; `begun` — whether the present one has begun."""

    learner: Any

    def __init__(self, spec: Spec, seed: int) -> None:
        from clrepro.seeding import Seeds

        self.spec, self.seeds, self.task, self.begun = spec, Seeds(seed), 0, False

    def begin(self) -> None:
        """Before a task's first batch."""
        if not self.begun:
            self.learner.begin_task(self.task)
            self.begun = True

    def end_task(self) -> None:
        """The task is over."""
        self.task, self.begun = self.task + 1, False

    def state(self) -> dict[str, Any]:
        """Returns what an exact continuation at the next task needs."""
        return {"learner": self.learner.state(), "task": self.task, "seeds": self.seeds.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned after a task."""
        self.learner.load(state["learner"])
        self.task, self.begun = int(state["task"]), False
        self.seeds.load(state["seeds"])

    def memory_bytes(self) -> int:
        """Returns the bytes of network, optimizer and memory."""
        return array_bytes(self.learner.state())


class StableSGD(_Counted):
    """Stable SGD: dropout, momentum, and a rate that falls from task to task."""

    SPACE: ClassVar[Space] = {
        "lr": (0.01, 0.3, "log"), "gamma": (0.4, 0.55, 0.7, 0.8, 0.9, 1.0), "dropout": (0.0, 0.25, 0.5)
    }  # fmt: skip

    def __init__(
        self, spec: Spec, *, seed: int, lr: float = 0.1, gamma: float = 0.8, dropout: float = 0.25,
        momentum: float = 0.8,
    ) -> None:  # fmt: skip
        from tag_repro.learning_rate import rate_of_task
        from tag_repro.stable_sgd.fused_learner import FusedLearner

        super().__init__(spec, seed)
        rate = partial(rate_of_task, lr=lr, gamma=gamma)
        self.learner = FusedLearner(
            task_stream(spec), self.seeds, rate=rate, momentum=momentum, dropout=dropout,
            hiddens=spec.hidden[0],
        )  # fmt: skip

    def observe(self, x: Rows, y: Labels) -> None:
        """Learn a batch x (b, inputs), y (b,)."""
        if not self.begun:
            self.begin()
            self.learner.begin_epoch()
        self.learner.observe(np.rint(255 * x).astype(np.uint8), y, 0)

    def predict(self, x: Rows) -> NDArray[np.float64]:
        """Returns logits (n, classes)."""
        return np.asarray(self.learner.predict(np.rint(255 * x).astype(np.uint8), 0))


class _Driver(_Counted):
    """A method of the TAG driver; `wrapper` is its key in `tag_repro.tag.methods.METHODS`."""

    wrapper = ""
    SPACE: ClassVar[Space] = {"lr": (2e-5, 3e-3, "log"), "b": (1.0, 3.0, 5.0, 7.0)}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 0.00025, b: float = 5.0) -> None:
        import torch

        from tag_repro.networks.make import make_network
        from tag_repro.tag.learner import make_optimizer
        from tag_repro.tag.methods import METHODS

        super().__init__(spec, seed)
        stream, dropout = task_stream(spec), torch.Generator().manual_seed(self.seeds.integer("dropout"))
        network = make_network(
            stream, self.seeds, dropout, images="mnist", hiddens=spec.hidden[0], dropout=0.0
        )
        optimizer = make_optimizer("tag", network, lr=lr, tag_opt="rms", b=b)
        own = {"mem_size": max(1, spec.memory // spec.n_classes)} if self.wrapper else {}
        self.learner = METHODS[self.wrapper](
            network, optimizer, stream, self.seeds["memory"], dropout_rng=dropout, **own
        )

    def observe(self, x: Rows, y: Labels) -> None:
        """Learn a batch x (b, inputs), y (b,)."""
        import torch

        self.begin()
        pixels = torch.from_numpy(np.rint(255 * x).astype(np.uint8))
        self.learner.observe(pixels, torch.from_numpy(y), self.task)

    def end_task(self) -> None:
        """The task is over."""
        self.learner.end_task(self.task)
        super().end_task()

    def predict(self, x: Rows) -> Rows:
        """Returns logits (n, classes)."""
        import torch

        logits: Rows = self.learner.predict(torch.from_numpy(np.rint(255 * x).astype(np.uint8)), 0).numpy()
        return logits


class TAGRMSProp(_Driver):
    """TAG on RMSProp: steps follow how a task's gradients agree with those of the tasks before."""


class TAGER(_Driver):
    """TAG on RMSProp with experience replay: from the second task on a batch of the reservoir is added."""

    wrapper = "er"


METHODS: dict[str, type[Any]] = {"tag-rmsprop": TAGRMSProp, "tag-er": TAGER, "stable-sgd": StableSGD}
