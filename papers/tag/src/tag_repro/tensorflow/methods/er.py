"""ER-Reservoir: every batch is learnt together with examples from a uniform sample of all before it."""

import itertools
from typing import Any

import numpy as np

from clrepro.buffers import Reservoir
from tag_repro.tensorflow.methods.memory import Memory
from tag_repro.tensorflow.methods.van import VAN, Images, Labels, Losses


class ER(VAN):
    """At most eps_mem_batch remembered examples, without repetition, join the batch; the loss is the mean
    over all.  The reservoir holds mem_size for each class of each task.

    Source: Chaudhry et al. 2019 (On tiny episodic memories), ER-Reservoir.
    Differs from the original: example n enters with probability capacity/n; there one too few was counted.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        found = self.task_stream
        capacity = self.settings.mem_size * len(found.stream) * found.classes_per_task
        self.policy = Reservoir(capacity, self.rng)
        self.memory = Memory(self.policy, found.stream.n_inputs)

    def observe(self, x: Images, y: Labels, task: int) -> Losses:
        """Learn from batches and the memory, and offer it each batch in turn; returns the mean losses."""
        parts = [self._with_memory(*batch) for batch in zip(x, y, strict=True)]
        losses = []
        for _, group in itertools.groupby(parts, key=lambda part: len(part[1])):  # more and more at first
            xs, ys = zip(*group, strict=True)
            losses.append(np.asarray(self._plain(np.stack(xs), np.stack(ys))))
        return np.concatenate(losses)

    def _with_memory(self, x: Images, y: Labels) -> tuple[Images, Labels]:
        """A batch behind remembered examples, drawn before the batch is offered to the memory."""
        n = min(self.settings.eps_mem_batch, self.policy.size)
        slots = self.rng.choice(self.policy.size, n, replace=False) if n else np.arange(0)
        old_x, old_y = self.memory.read(slots)
        self.memory.columns.write(self.policy.add(len(y)), x=x, y=y)
        return np.concatenate([old_x, x]), np.concatenate([old_y, y])

    def memory_state(self) -> dict[str, Any]:
        """Returns the memory."""
        return {"memory": self.memory.state()}

    def load_memory(self, state: dict[str, Any]) -> None:
        """Continue from what `memory_state` returned."""
        self.memory.load(state["memory"])
