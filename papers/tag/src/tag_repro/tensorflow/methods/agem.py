"""A-GEM: a step that would raise the loss on remembered examples is turned until it does not."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.adapters.tf import project as project
from clrepro.buffers import Columns, PerClass
from tag_repro.batches import Images, Labels, one_by_one
from tag_repro.tensorflow.losses import loss_and_gradients, mean_loss
from tag_repro.tensorflow.methods.van import VAN, Losses


class AGEM(VAN):
    """The latest mem_size examples of every class of every task; the reference batch, of at most
    eps_mem_batch examples without repetition, comes from the tasks before the present one.

    Source: Chaudhry et al. 2019 (A-GEM).
    Differs from the original: no units are dropped in the reference gradient (--ref-dropout brings that back)
    and it normalises by the running statistics, which it leaves as they are.
    """

    def __init__(
        self, *args: Any, mem_size: int = 1, eps_mem_batch: int = 64, ref_dropout: bool = False,
        compat: str = "corrected", **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, compat=compat, **more)
        found, self.eps_mem_batch = self.task_stream, eps_mem_batch
        self.ref_dropout = ref_dropout or self.as_published
        self.policy = PerClass(mem_size, len(found.stream) * found.classes_per_task)
        fields = {"x": ((found.stream.n_inputs,), np.uint8), "y": ((), np.int64)}
        self.memory = Columns(self.policy.capacity, fields)
        self._projected = self.compile("projected", self.projected_step, batches=2)

    def reference_gradients(self, x: Any, y: Any) -> list[Any]:
        """Returns the gradients of the loss on remembered examples."""

        def loss() -> Any:
            logits = self.network(x, training=self.as_published, dropping=self.ref_dropout)
            return mean_loss(logits, y, self.task_stream.classes_per_task)

        return loss_and_gradients(loss, self.network.weights)[1]

    def projected_step(self, x: Any, y: Any, old_x: Any, old_y: Any) -> Any:
        """One step on a batch, projected by remembered examples; returns the batch's loss."""
        reference = self.reference_gradients(old_x, old_y)
        loss, gradients = self.gradients(x, y)
        self.optimizer.apply(project(gradients, reference))
        return loss

    def observe(self, x: Images, y: Labels, task: int) -> Losses:
        """Learn from batches of a task and remember them; returns their losses."""
        x, y = one_by_one(x, y)
        held = self.slots_before(task)  # the same ones for all batches of a task
        if len(held):
            n = min(self.eps_mem_batch, len(held))
            indices = np.concatenate([self.rng.choice(held, n, replace=False) for _ in y])
            old = self.memory.read(indices)
            losses = self._projected(x, y, old["x"].reshape(len(y), n, -1), old["y"].reshape(len(y), n))
        else:
            losses = self._plain(x, y)
        slots = self.policy.add(self.classes(y.ravel(), task))
        self.memory.write(slots, x=x.reshape(len(slots), -1), y=y.ravel())
        return np.asarray(losses)

    def classes(self, y: Labels, task: int) -> Labels:
        """Returns class numbers of which every task has its own, also where the tasks share outputs."""
        own = self.task_stream.classes_per_task
        return y % own + task * own

    def slots_before(self, task: int) -> NDArray[np.int64]:
        """Returns the filled slots of earlier tasks."""
        policy = self.policy
        rank = np.arange(policy.capacity) % policy.capacity_per_class
        filled = rank < policy.sizes.repeat(policy.capacity_per_class)
        before = task * self.task_stream.classes_per_task * policy.capacity_per_class
        return np.flatnonzero(filled[:before])

    def memory_state(self) -> dict[str, Any]:
        """Returns the memory."""
        return {"memory": {"policy": self.policy.state(), "columns": self.memory.state()}}

    def load_memory(self, state: dict[str, Any]) -> None:
        """Continue from what `memory_state` returned."""
        self.policy.load(state["memory"]["policy"])
        self.memory.load(state["memory"]["columns"])
