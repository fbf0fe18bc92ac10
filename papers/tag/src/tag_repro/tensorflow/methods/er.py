"""ER-Reservoir: every batch is learnt together with examples from a uniform sample of all before it."""

import itertools
from typing import Any

import numpy as np

from clrepro.buffers import Columns, Reservoir
from tag_repro.batches import Images, Labels, one_by_one
from tag_repro.tensorflow.methods.van import VAN, Losses


class ER(VAN):
    """At most eps_mem_batch remembered examples, without repetition, join the batch; the loss is the mean
    over all.  The reservoir holds mem_size for each class of each task.

    Source: Chaudhry et al. 2019 (On tiny episodic memories), ER-Reservoir.
    Differs from the original: example n enters with probability capacity/n; there one too few was counted.
    """

    def __init__(self, *args: Any, mem_size: int = 1, eps_mem_batch: int = 64, **more: Any) -> None:
        super().__init__(*args, **more)
        found, self.eps_mem_batch = self.task_stream, eps_mem_batch
        self.policy = Reservoir(mem_size * len(found.stream) * found.classes_per_task, self.rng)
        fields = {"x": ((found.stream.n_inputs,), np.uint8), "y": ((), np.int64)}
        self.memory = Columns(self.policy.capacity, fields)

    def observe(self, x: Images, y: Labels, task: int) -> Losses:
        """Learn from batches and the memory, and offer it each batch in turn; returns the mean losses."""
        parts = [self._with_memory(*batch) for batch in zip(*one_by_one(x, y), strict=True)]
        losses = []
        for _, group in itertools.groupby(parts, key=lambda part: len(part[1])):  # more and more at first
            xs, ys = zip(*group, strict=True)
            losses.append(np.asarray(self._plain(np.stack(xs), np.stack(ys))))
        return np.concatenate(losses)

    def _with_memory(self, x: Images, y: Labels) -> tuple[Images, Labels]:
        """A batch behind remembered examples, drawn before the batch is offered to the memory."""
        n = min(self.eps_mem_batch, self.policy.size)
        slots = self.rng.choice(self.policy.size, n, replace=False) if n else np.arange(0)
        old = self.memory.read(slots)
        self.memory.write(self.policy.add(len(y)), x=x, y=y)
        return np.concatenate([old["x"], x]), np.concatenate([old["y"], y])

    def memory_state(self) -> dict[str, Any]:
        """Returns the memory."""
        return {"memory": {"policy": self.policy.state(), "columns": self.memory.state()}}

    def load_memory(self, state: dict[str, Any]) -> None:
        """Continue from what `memory_state` returned."""
        self.policy.load(state["memory"]["policy"])
        self.memory.load(state["memory"]["columns"])
