"""What the learner sees and what the memory is offered: batches, reference batches, offers.  Spec 3.5 and
3.7.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.seeding import Seeds
from clrepro.streams import order
from ta_agem_repro.memory import ClassReservoirs, ClusteringMemory, draw
from ta_agem_repro.result import Result
from ta_agem_repro.settings import Settings
from ta_agem_repro.tasks import TaskImages

FRAMES = 500
Indices = NDArray[np.int64]


def memory_of(settings: Settings, rng: np.random.Generator) -> ClusteringMemory | ClassReservoirs | None:
    """Returns the memory of a method; None for sgd."""
    if settings.method == "sgd":
        return None
    shape = (settings.memory_size_q, settings.memory_size_p)
    if settings.method == "agem-reservoir":
        return ClassReservoirs(*shape, settings.num_pools, rng)
    return ClusteringMemory(
        *shape,
        num_pools=settings.num_pools,
        add_remove_randomly=settings.add_remove_randomly or settings.method == "agem-random",
        policy="paper" if settings.method == "paper" else "main",
        removal=settings.removal_function,
        rng=rng,
    )


class Feeder:
    """Shuffles the images of an epoch into batches and passes some of them on to the memory.

    Args: seeds — "shuffle" orders the batches, "memory" drives the memory and its draws; the tasks and the
    order of the batches thus stay the same whatever the method.
    """

    def __init__(
        self,
        settings: Settings,
        seeds: Seeds,
        learner: Any,
        tasks: list[TaskImages],
        schedule: list[order.Epoch],
    ) -> None:
        self.settings, self.learner, self.tasks = settings, learner, tasks
        self.memory = memory_of(settings, seeds.generator("memory"))
        self._draws, self._shuffle = seeds.generator("draw"), seeds.generator("shuffle")
        self._open: tuple[int, ...] = ()
        self._epoch: order.Epoch | None = None
        self._labels: NDArray[np.int64] = np.empty(0, np.int64)
        self._split = 0
        self.offers = 0
        # The whole run in about 500 frames, however long it is.
        self.interval = max(1, self._offers_of_all(schedule) // FRAMES)
        self._frames: list[NDArray[np.int16]] = []
        self._frame_tasks: list[int] = []

    @property
    def size(self) -> int:
        """Stored samples."""
        return self.memory.get_memory_size() if self.memory is not None else 0

    def _offers_of_all(self, schedule: list[order.Epoch]) -> int:
        """About how many samples the memory is offered in a run."""
        per_task = [len(task.y_train) // self.settings.batch_size for task in self.tasks]
        return int(sum(per_task[epoch.task] for epoch in schedule) * self.settings.sampling_rate)

    def open(self, epoch: order.Epoch) -> Indices:
        """Hand the epoch's images to the learner; returns its batches, int64 (batches, batch_size)."""
        wanted = (epoch.task,) if epoch.mix_with is None else (epoch.task, epoch.mix_with)
        if wanted != self._open:
            x = [self.tasks[task].x_train for task in wanted]
            y = [self.tasks[task].y_train for task in wanted]
            self._labels, self._split = np.concatenate(y), len(y[0])
            self.learner.open(np.concatenate(x), self._labels)
            self._open = wanted
        self._epoch = epoch
        return self.batches(epoch)

    def batches(self, epoch: order.Epoch) -> Indices:
        """A fresh shuffle of the epoch's images in full batches; a mixed epoch takes the stated share from
        each of its two tasks, shuffled within the batch, as long as both last.
        """
        b = self.settings.batch_size
        if epoch.mix_with is None:
            shuffled = self._shuffle.permutation(self._split)
            n = self._split // b
            return shuffled[: n * b].reshape(n, b)
        here, there = order.counts(epoch, b)
        n_there = len(self._labels) - self._split
        # As long as the shorter of the two loaders, each of which has full batches of its own.
        n = min(self._split // b, n_there // b)
        first = self._shuffle.permutation(self._split)[: n * here].reshape(n, here)
        second = self._split + self._shuffle.permutation(n_there)[: n * there].reshape(n, there)
        return self._shuffle.permuted(np.concatenate([first, second], axis=1), axis=1)

    def reference_batches(self, batches: int) -> Indices | None:
        """Returns the slots for every batch of the epoch at once, int64 (batches, k), k = 0 without memory;
        None where the memory changes from batch to batch.
        """
        if self.memory is None:
            return np.empty((batches, 0), np.int64)
        if self.settings.memory_update == "batch":
            return None
        pools = self.memory.pool_slots()
        if self.settings.random_em:
            return draw.balanced(pools, self.settings.batch_size, batches, self._draws)
        if self.size <= draw.WHOLE:
            return np.tile(draw.whole(pools, self._draws), (batches, 1))
        return np.stack([draw.whole(pools, self._draws) for _ in range(batches)])

    def reference_batch(self) -> Indices:
        """Returns the slots for one batch, int64 (k,)."""
        assert self.memory is not None
        pools = self.memory.pool_slots()
        if self.settings.random_em:
            return np.asarray(draw.balanced(pools, self.settings.batch_size, 1, self._draws)[0])
        return draw.whole(pools, self._draws)

    def add_epoch(self) -> None:
        """A second, freshly shuffled pass over the epoch's images, of which the memory is offered its share:
        the first ⌊s⌋ of every batch, or for a rate s < 1 the first of every ⌊1/s⌋-th batch.
        """
        if self.memory is None or self._epoch is None:
            return
        for number, indices in enumerate(self.batches(self._epoch)):
            self.add_batch(indices, number)

    def add_batch(self, indices: Indices, number: int) -> None:
        """Offer the memory its share of the epoch's `number`-th batch."""
        rate = self.settings.sampling_rate
        if self.memory is None or (rate < 1 and number % int(1 / rate)):
            return
        for index in indices[: max(1, int(rate))]:
            first = index < self._split
            task = self._open[0 if first else 1]
            x = self.tasks[task].x_train[index if first else index - self._split]
            x = x.astype(np.float32) / np.float32(255)
            label = int(self._labels[index])
            slot = self.memory.add(x, label, task)
            if slot >= 0:
                self.learner.remember(slot, x, label)
            if self.offers % self.interval == 0:
                self._frames.append(self._frame())
                self._frame_tasks.append(task)
            self.offers += 1

    def _frame(self) -> NDArray[np.int16]:
        """Returns the task of the oldest sample of each cluster, -1 for no cluster: (pools, Q)."""
        assert self.memory is not None
        rows = self.memory.get_oldest_task_ids_matrix()
        return np.array([[-1 if task is None else task for task in row] for row in rows], np.int16)

    def report(self, result: Result) -> None:
        """Fill in what a result tells of the memory."""
        if self.memory is None:
            return
        rows, columns = self.settings.num_pools, self.settings.memory_size_q
        result.tracking = np.array(self._frames, np.int16).reshape(-1, rows, columns)
        result.tracking_task = np.array(self._frame_tasks, np.int16)
        result.tracking_interval = self.interval
        result.offered = self.memory.get_sample_throughputs()
        result.stored = self.memory.get_pool_sizes()
        result.final_memory = self.memory.contents()

    def state(self) -> dict[str, Any]:
        """Returns the memory, the number of offers, and the frames that follow its oldest tasks."""
        if self.memory is None:
            return {}
        return {
            "memory": self.memory.state(),
            "offers": self.offers,
            "frames": np.array(self._frames, np.int16),
            "frame_tasks": self._frame_tasks,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        if self.memory is None:
            return
        self.memory.load(state["memory"])
        self.offers = int(state["offers"])
        self._frames = list(np.asarray(state["frames"], np.int16))
        self._frame_tasks = [int(task) for task in state["frame_tasks"]]
