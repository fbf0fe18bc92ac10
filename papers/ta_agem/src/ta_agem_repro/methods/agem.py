"""A-GEM as a learner: an engine that takes the steps, a memory, and the draws from it.

Source: Chaudhry et al. 2019; spec 3.1, 3.5 and 3.6.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ta_agem_repro.learning_rate import TALearningRateScheduler
from ta_agem_repro.memory import ClassReservoirs, ClusteringMemory, draw
from ta_agem_repro.networks import Vector

Images = NDArray[np.uint8]
Indices = NDArray[np.int64]


class AGEM:
    """A step along a batch's gradient, projected so that it does not raise the loss on remembered samples.

    A `clrepro.learner.Learner` on arrays: images uint8 (n, inputs), labels int64 (n,).  Beside `observe`
    there is a fast path for passes over the same images: `open` takes them once, `draw` the reference
    batches of so many steps, `observe_rows` steps on rows of them, `remember` offers samples to the memory.
    Args: engine — network and arithmetic, `fused_engine.FusedEngine` or `reference_engine.ReferenceEngine`;
        memory — what is remembered, None for nothing; draw_rng — of the reference batches; batch_size —
        samples of a reference batch; random_em — a draw balanced over the pools, else the whole memory;
        sampling_rate — share of a batch that `observe` offers to the memory; use_learning_rate_scheduler —
        see `learning_rate`.
    """

    def __init__(
        self,
        engine: Any,
        memory: ClusteringMemory | ClassReservoirs | None,
        draw_rng: np.random.Generator,
        *,
        learning_rate: float = 1e-3,
        batch_size: int = 10,
        random_em: bool = True,
        sampling_rate: float = 1.0,
        use_learning_rate_scheduler: bool = False,
    ) -> None:
        self.engine, self.memory, self._draws = engine, memory, draw_rng
        self.batch_size, self.random_em, self.sampling_rate = batch_size, random_em, sampling_rate
        self.learning_rate, self.scheduled = learning_rate, use_learning_rate_scheduler
        self.scheduler = TALearningRateScheduler(lr_init=learning_rate)
        self._slots: Indices = np.empty((0, 0), np.int64)
        self._batches, self.referred = 0, False

    @property
    def rate(self) -> float:
        """The present learning rate."""
        return self.scheduler.get_lr() if self.scheduled else self.learning_rate

    @property
    def size(self) -> int:
        """Remembered samples."""
        return 0 if self.memory is None else self.memory.get_memory_size()

    def open(self, x: Images, y: Indices) -> None:
        """Take the images that the next rows count in."""
        self.engine.open(x, y)

    def draw(self, steps: int) -> None:
        """Draw the reference batches of the next steps from the memory as it is now."""
        self._slots = self._drawn(steps)

    def _drawn(self, steps: int) -> Indices:
        """Slots int64 (steps, k); k = 0 without memory."""
        if self.memory is None:
            return np.empty((steps, 0), np.int64)
        pools = self.memory.pool_slots()
        if self.random_em:
            return draw.balanced(pools, self.batch_size, steps, self._draws)
        if self.size <= draw.WHOLE:
            return np.tile(draw.whole(pools, self._draws), (steps, 1))
        return np.stack([draw.whole(pools, self._draws) for _ in range(steps)])

    def observe_rows(self, rows: Indices) -> NDArray[np.float64]:
        """Learn batches of the open images, int64 (steps, n), one after the other.

        Returns: float64 (steps, 4): a batch's mean loss before its step, g·r, r·r and g·g, g the gradient and
            r that of the reference batch; `referred` says whether there was one, else they are 0.
        Raises: ValueError if fewer reference batches were drawn.
        """
        if len(self._slots) < len(rows):
            raise ValueError(f"{len(rows)} steps: {len(self._slots)} reference batches were drawn")
        slots, self._slots = self._slots[: len(rows)], self._slots[len(rows) :]
        rate = self.learning_rate
        if self.scheduled:
            if len(rows) != 1:
                raise ValueError(f"{len(rows)} steps at once: the scheduler looks at every batch")
            rate = self.scheduler.step(self.engine.loss(rows[0]))
        done: NDArray[np.float64] = self.engine.steps(rows, slots, rate)
        self.referred = slots.shape[1] > 0
        return done

    def observe(self, x: Images, y: Indices, task: int) -> float:
        """Learn a batch and offer its share to the memory; returns the loss before the step."""
        self.open(x, y)
        self.draw(1)
        loss = float(self.observe_rows(np.arange(len(y))[None])[0, 0])
        for row in shared(np.arange(len(y)), self._batches, self.sampling_rate):
            self.remember(x[row], int(y[row]), task)
        self._batches += 1
        return loss

    def remember(self, x: Images, label: int, task: int) -> None:
        """Offer a sample uint8 (inputs,) to the memory, if there is one."""
        if self.memory is None:
            return
        scaled = x.astype(np.float32) / np.float32(255)
        slot = self.memory.add(scaled, label, task)
        if slot >= 0:
            self.engine.remember(slot, scaled, label)

    def predict(self, x: Images | Vector, task: int) -> Vector:
        """Returns logits float32 (n, 10) of images uint8, or float32 that are in [0, 1] already."""
        scaled = x if x.dtype == np.float32 else x.astype(np.float32) / np.float32(255)
        logits: Vector = self.engine.logits(scaled)
        return logits

    def state(self) -> dict[str, Any]:
        """Returns engine, memory and scheduler, between two epochs; the generators are the caller's."""
        memory = {} if self.memory is None else {"memory": self.memory.state()}
        own = {"learner": self.engine.state(), "scheduler": self.scheduler.state(), "batches": self._batches}
        return {**own, **memory}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.  Raises: ValueError for that of another kind of memory."""
        self.engine.load(state["learner"])
        self.scheduler.load(state["scheduler"])
        self._batches = int(state.get("batches", 0))
        if self.memory is not None:
            self.memory.load(state["memory"])


def shared(rows: Indices, number: int, rate: float) -> Indices:
    """Returns the rows of batch `number` that the memory is offered: the first ⌊rate⌋, or for a rate below 1
    the first of every ⌊1/rate⌋-th batch.  Source: spec 3.7.
    """
    if rate < 1 and number % int(1 / rate):
        return rows[:0]
    return rows[: max(1, int(rate))]
