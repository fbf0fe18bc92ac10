"""What a finished run knows: the epochs, the batches, the memory.  The writers of all files start from
this.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.metrics import continual
from ta_agem_repro.settings import Settings


@dataclass
class Epoch:
    """One evaluation: after every epoch, or every testing_interval batches.

    accuracies — {task id: accuracy in [0, 1]} of the tasks seen so far, in the order first seen;
    overall — over all their test images (micro average); training_time — seconds of training and memory
    feeding since the evaluation before, evaluation excluded.
    """

    epoch: int
    task_id: int
    accuracies: dict[int, float]
    overall: float
    loss: float
    memory_size: int
    learning_rate: float
    training_time: float


@dataclass
class Result:
    """A run, complete or as far as it came.

    task_order — task ids in the order first seen; boundaries — index into `epochs` of each task's last one,
    by place in task_order; training_times — seconds per task, same order; batch_task, batch_epoch (epoch
    within its task), batch_number int (n_batches,); batch_loss float32 (n_batches,); tracking — int16
    (frames, num_pools, Q), id of the oldest task in each cluster, -1 for none, rows sorted by label;
    tracking_task — int16 (frames,); offered, stored — {label: samples}; steps, projected — A-GEM steps with
    a memory batch and those of them with g·r < 0; cosine_sum — sum of cos(g, r) over those steps; test_sizes
    — test images per task, by task id; final_memory — samples float32 (n, inputs), with labels, task_ids,
    clusters (number of the cluster in its pool) and arrivals int64 (n,).
    """

    settings: Settings
    epochs: list[Epoch] = field(default_factory=list)
    task_order: list[int] = field(default_factory=list)
    boundaries: list[int] = field(default_factory=list)
    training_times: list[float] = field(default_factory=list)
    batch_task: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    batch_epoch: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    batch_number: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    batch_loss: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    tracking: NDArray[np.int16] = field(default_factory=lambda: np.empty((0, 0, 0), np.int16))
    tracking_task: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    tracking_interval: int = 1
    offered: dict[int, int] = field(default_factory=dict)
    stored: dict[int, int] = field(default_factory=dict)
    steps: int = 0
    projected: int = 0
    cosine_sum: float = 0.0
    test_sizes: list[int] = field(default_factory=list)
    final_memory: dict[str, NDArray[Any]] = field(default_factory=dict)
    parameters: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)

    def matrix(self) -> NDArray[np.float64]:
        """Returns a float64 (E, num_tasks): accuracy after evaluation e on task id k, nan where not yet
        seen.
        """
        a = np.full((len(self.epochs), self.settings.num_tasks), np.nan)
        for row, epoch in zip(a, self.epochs, strict=True):
            for task, accuracy in epoch.accuracies.items():
                row[task] = accuracy
        return a

    def metrics(self) -> dict[str, float]:
        """Returns A, A_T, F1, F, T1, BWT as fractions, and the projection rate and mean cosine.

        The first task is the one seen first; columns go by the order first seen, so that task orders compare.
        Source: spec section 5; formulas in clrepro.metrics.continual.
        """
        a = self.matrix()[:, self.task_order]
        sizes = [self.test_sizes[task] for task in self.task_order]
        # During task 0: all evaluations before any other task was first seen.
        first = int(np.isnan(a[:, 1]).sum()) if a.shape[1] > 1 else len(a)
        return {
            "A": continual.mean_accuracy_over_epochs(a, sizes),
            "A_T": continual.average_accuracy(a),
            "F1": continual.first_task_forgetting(a, first),
            "F": continual.forgetting_over_epochs(a),
            "T1": continual.first_task_accuracy(a),
            "BWT": continual.backward_transfer_over_epochs(a, self.boundaries),
            "projection_rate": self.projected / self.steps if self.steps else 0.0,
            "mean_cosine": self.cosine_sum / self.steps if self.steps else float("nan"),
            "memory_size": float(self.epochs[-1].memory_size),
        }
