"""A small finished run, made by hand: every number in it can be checked by eye."""

from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from ta_agem_repro import outputs
from ta_agem_repro.result import Epoch, Result
from ta_agem_repro.settings import Settings

N_BATCHES = 4  # per epoch
POOLS, Q, P, INPUTS, HIDDEN = 2, 2, 2, 4, 3
# (task, {task: accuracy}, overall, loss, memory size); 20 test images of task 0 and 30 of task 1.
EPOCHS = (
    (0, {0: 0.50}, 0.50, 1.20, 4),
    (0, {0: 0.90}, 0.90, 0.60, 6),
    (1, {0: 0.80, 1: 0.40}, 0.56, 1.00, 8),
    (1, {0: 0.70, 1: 0.80}, 0.76, 0.50, 8),
)


@pytest.fixture
def result():
    """Two tasks of two epochs: A = 0.68, F1 = 0.15, T1 = 0.725, A_T = 0.75, F = 0.2, BWT = -0.2."""
    settings = Settings(
        dataset_name="digits", num_tasks=2, num_epochs=2, num_pools=POOLS, memory_size_q=Q, memory_size_p=P,
        hidden_dim=HIDDEN, learning_rate=0.05, seed=7, experiment_name="by hand",
    )  # fmt: skip
    epochs = [
        Epoch(number, task, dict(accuracies), overall, loss, size, 0.05, 0.25 * (number + 1))
        for number, (task, accuracies, overall, loss, size) in enumerate(EPOCHS)
    ]
    n = len(EPOCHS) * N_BATCHES
    rng = np.random.default_rng(0)
    shapes = ((INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 10))
    tracking = [[[0, -1], [-1, -1]], [[0, 0], [0, -1]], [[0, 1], [0, -1]], [[0, 1], [1, 1]]]
    return Result(
        settings, epochs, task_order=[0, 1], boundaries=[1, 3], training_times=[0.75, 1.75],
        batch_task=np.repeat(np.array([0, 1], np.int16), 2 * N_BATCHES),
        batch_epoch=np.tile(np.repeat(np.array([0, 1], np.int16), N_BATCHES), 2),
        batch_number=np.tile(np.arange(N_BATCHES, dtype=np.int32), len(EPOCHS)),
        batch_loss=np.linspace(2.0, 0.5, n, dtype=np.float32),
        tracking=np.array(tracking, np.int16), tracking_task=np.array([0, 0, 1, 1], np.int16),
        tracking_interval=4, offered={0: 9, 1: 7}, stored={0: 4, 1: 4}, steps=12, projected=3,
        cosine_sum=2.4, test_sizes=[20, 30], final_memory=memory(rng),
        parameters=[
            (rng.normal(size=s).astype(np.float32), rng.normal(size=s[1]).astype(np.float32)) for s in shapes
        ],
        data={"digits": "0" * 64},
        times={"init": [0.01], "training": [0.2] * 4, "eval": [0.05] * 4},
    )  # fmt: skip


def memory(rng):
    """Eight samples: pools of labels 0 and 1, two clusters each, two samples per cluster."""
    return {
        "samples": rng.random((8, INPUTS)).astype(np.float32),
        "labels": np.repeat(np.arange(2), 4),
        "task_ids": np.array([0, 0, 1, 1, 0, 1, 1, 1]),
        "clusters": np.tile(np.repeat(np.arange(2), 2), 2),
        "arrivals": np.array([0, 2, 4, 6, 1, 3, 5, 7]),
    }


@pytest.fixture
def write_run(result):
    """A function that writes the run with all accuracies moved by `by`, a minute later each time.

    Returns the pickle's path; A and T1 move with the accuracies, F1 stays at 0.15.
    """
    minutes = iter(range(1000))

    def write(folder, by=0.0, epochs=4, **settings):
        moved = deepcopy(result)
        moved.settings = replace(moved.settings, **settings)
        moved.epochs = moved.epochs[:epochs]
        moved.boundaries = [1, epochs - 1]
        for epoch in moved.epochs:
            epoch.overall += by
            epoch.accuracies = {task: a + by for task, a in epoch.accuracies.items()}
        stamp = datetime(2025, 8, 1, 12) + timedelta(minutes=next(minutes))
        return outputs.write_all(moved, folder, stamp)[0]

    return write
