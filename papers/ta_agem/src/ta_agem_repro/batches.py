"""What the learner sees and what its memory is offered: batches and offers.  Spec 3.5 and 3.7."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.streams import Task, order
from ta_agem_repro.methods.agem import AGEM, shared
from ta_agem_repro.result import Result

FRAMES = 500
Indices = NDArray[np.int64]


class Feeder:
    """Shuffles the images of an epoch into batches and passes some of them on to the learner's memory.

    Args: shuffle — orders the batches, whatever the method; sampling_rate — see `methods.agem.shared`.
    """

    def __init__(
        self, learner: AGEM, tasks: list[Task], schedule: list[order.Epoch], shuffle: np.random.Generator, *,
        batch_size: int, sampling_rate: float = 1.0,
    ) -> None:  # fmt: skip
        self.learner, self.tasks, self._shuffle = learner, tasks, shuffle
        self.batch_size, self.sampling_rate = batch_size, sampling_rate
        self._open: tuple[int, ...] = ()
        self._epoch: order.Epoch | None = None
        self._labels: NDArray[np.int64] = np.empty(0, np.int64)
        self._split = 0
        self.offers = 0
        # The whole run in about 500 frames, however long it is.
        self.interval = max(1, self._offers_of_all(schedule) // FRAMES)
        self._frames: list[NDArray[np.int16]] = []
        self._frame_tasks: list[int] = []

    def _offers_of_all(self, schedule: list[order.Epoch]) -> int:
        """About how many samples the memory is offered in a run."""
        per_task = [len(task.y_train) // self.batch_size for task in self.tasks]
        return int(sum(per_task[epoch.task] for epoch in schedule) * self.sampling_rate)

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
        b = self.batch_size
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

    def add_epoch(self) -> None:
        """A second, freshly shuffled pass over the epoch's images, of which the memory gets its share."""
        if self.learner.memory is None or self._epoch is None:
            return
        for number, indices in enumerate(self.batches(self._epoch)):
            self.add_batch(indices, number)

    def add_batch(self, indices: Indices, number: int) -> None:
        """Offer the memory its share of the epoch's `number`-th batch."""
        if self.learner.memory is None:
            return
        for index in shared(indices, number, self.sampling_rate):
            first = index < self._split
            task = self._open[0 if first else 1]
            x = self.tasks[task].x_train[index if first else index - self._split]
            self.learner.remember(x, int(self._labels[index]), task)
            if self.offers % self.interval == 0:
                self._frames.append(self._frame())
                self._frame_tasks.append(task)
            self.offers += 1

    def _frame(self) -> NDArray[np.int16]:
        """Returns the task of the oldest sample of each cluster, -1 for no cluster: (pools, Q)."""
        assert self.learner.memory is not None
        rows = self.learner.memory.get_oldest_task_ids_matrix()
        return np.array([[-1 if task is None else task for task in row] for row in rows], np.int16)

    def report(self, result: Result) -> None:
        """Fill in what a result tells of the memory."""
        memory = self.learner.memory
        if memory is None:
            return
        result.tracking = np.array(self._frames, np.int16).reshape(-1, memory.num_pools, memory.Q)
        result.tracking_task = np.array(self._frame_tasks, np.int16)
        result.tracking_interval = self.interval
        result.offered = memory.get_sample_throughputs()
        result.stored = memory.get_pool_sizes()
        result.final_memory = memory.contents()

    def state(self) -> dict[str, Any]:
        """Returns the number of offers, and the frames that follow the memory's oldest tasks."""
        frames = np.array(self._frames, np.int16)
        return {"offers": self.offers, "frames": frames, "frame_tasks": self._frame_tasks}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.offers = int(state["offers"])
        self._frames = list(np.asarray(state["frames"], np.int16))
        self._frame_tasks = [int(task) for task in state["frame_tasks"]]
