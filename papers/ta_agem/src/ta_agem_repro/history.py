"""Keeps the books of a run: where it stands, losses, evaluations, times; what a `Result` is made of."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.streams import order
from ta_agem_repro.batches import Feeder
from ta_agem_repro.result import Epoch, Result
from ta_agem_repro.settings import Settings


class History:
    """Fills a `Result` as the loop goes on; `position` counts the epochs that are over.

    Args: schedule — all epochs of the run; test_sizes — test images per task; checksums — sha256 per file.
    """

    def __init__(
        self,
        settings: Settings,
        schedule: list[order.Epoch],
        test_sizes: list[int],
        checksums: dict[str, str],
    ) -> None:
        self.result = Result(settings, test_sizes=test_sizes, data=checksums)
        self.position = 0
        self._schedule, self._seen = schedule, order.seen(schedule)
        tasks = [epoch.task for epoch in schedule]
        self._nth = [tasks[:place].count(task) for place, task in enumerate(tasks)]
        self._batches: list[NDArray[np.float64]] = []
        self._losses: list[float] = []
        self._spent = 0.0
        self._ends: dict[int, int] = {}
        self._seconds: dict[int, float] = {}

    @property
    def present(self) -> order.Epoch:
        """The epoch that is going on."""
        return self._schedule[self.position]

    @property
    def nth(self) -> int:
        """How many epochs of the present task were before it."""
        return self._nth[self.position]

    @property
    def seen(self) -> list[int]:
        """The tasks seen up to and in the present epoch, in the order first seen."""
        return self._seen[self.position]

    @property
    def finished(self) -> int:
        """How many tasks have no epoch left."""
        tasks = {epoch.task for epoch in self._schedule}
        return len(tasks - {epoch.task for epoch in self._schedule[self.position :]})

    def batches(self, first: int, losses: list[float]) -> None:
        """Note the losses of batches of the present epoch, from number `first` on.

        Raises: FloatingPointError if one is not finite: no later number would mean anything.
        """
        task = self.present.task
        for number, loss in enumerate(losses, first):
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} in batch {number} of task {task}; lower the learning_rate"
                )
        numbers = np.arange(first, first + len(losses))
        same = np.ones(len(losses))
        self._batches.append(np.stack([task * same, self.nth * same, numbers, losses], axis=1))
        self._losses += losses

    def projection(self, gr: float, rr: float, gg: float) -> None:
        """Note the inner products of a step that had a reference batch."""
        self.result.steps += 1
        self.result.projected += gr < 0
        norm = math.sqrt(rr) * math.sqrt(gg)
        self.result.cosine_sum += gr / norm if norm else 0.0

    def evaluation(self, right: dict[int, int], feeder: Feeder, rate: float, spent: float) -> Epoch:
        """Note an evaluation: right — {task: right answers}; spent — seconds of training and feeding so
        far.
        """
        sizes, task = self.result.test_sizes, self.present.task
        entry = Epoch(
            epoch=len(self.result.epochs),
            task_id=task,
            accuracies={k: n / sizes[k] for k, n in right.items()},
            overall=sum(right.values()) / sum(sizes[k] for k in right),
            loss=float(np.mean(self._losses)),
            memory_size=feeder.learner.size,
            learning_rate=rate,
            training_time=spent - self._spent,
        )
        self._seconds[task] = self._seconds.get(task, 0.0) + entry.training_time
        self._spent, self._losses = spent, []
        self.result.epochs.append(entry)
        self.result.task_order = list(right)
        return entry

    def close_epoch(self) -> bool:
        """The present epoch is over; returns whether that ended its task for good."""
        task = self.present.task
        self._ends[task] = len(self.result.epochs) - 1
        self.position += 1
        return all(epoch.task != task for epoch in self._schedule[self.position :])

    def finish(self, feeder: Feeder) -> Result:
        """Returns the result as of now; boundaries and times cover the tasks that had epochs of their own."""
        result = self.result
        begun = [task for task in result.task_order if task in self._ends]
        result.boundaries = [self._ends[task] for task in begun]
        result.training_times = [self._seconds[task] for task in begun]
        table = self._all_batches()
        result.batch_task, result.batch_epoch = table[:, 0].astype(np.int16), table[:, 1].astype(np.int16)
        result.batch_number, result.batch_loss = table[:, 2].astype(np.int32), table[:, 3].astype(np.float32)
        feeder.report(result)
        return result

    def _all_batches(self) -> NDArray[np.float64]:
        """Returns (batches, 4): task, epoch within the task, number within the epoch, loss."""
        self._batches = [np.concatenate([np.empty((0, 4)), *self._batches])]
        return self._batches[0]

    def state(self) -> dict[str, Any]:
        """Returns everything noted so far."""
        result = self.result
        return {
            "position": self.position,
            "batches": self._all_batches().copy(),
            "losses": list(self._losses),
            "spent": self._spent,
            "ends": _pairs(self._ends),
            "seconds": _pairs(self._seconds),
            "epochs": [
                {**asdict(e), "accuracies": [list(pair) for pair in e.accuracies.items()]}
                for e in result.epochs
            ],
            "task_order": list(result.task_order),
            "counts": [result.steps, result.projected, result.cosine_sum],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.position, self._spent = int(state["position"]), float(state["spent"])
        self._batches = [np.asarray(state["batches"], np.float64).reshape(-1, 4)]
        self._losses = [float(loss) for loss in state["losses"]]
        self._ends = {int(task): int(end) for task, end in state["ends"]}
        self._seconds = {int(task): float(spent) for task, spent in state["seconds"]}
        result = self.result
        result.epochs = [
            Epoch(**{**e, "accuracies": {int(k): float(a) for k, a in e["accuracies"]}})
            for e in state["epochs"]
        ]
        result.task_order = [int(task) for task in state["task_order"]]
        result.steps, result.projected = int(state["counts"][0]), int(state["counts"][1])
        result.cosine_sum = float(state["counts"][2])


def _pairs(table: dict[int, Any]) -> list[list[Any]]:
    """JSON has no numbers as keys."""
    return [list(pair) for pair in table.items()]
