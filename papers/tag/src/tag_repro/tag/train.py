"""The TAG driver's loop: tasks one after the other, one learner for all of them; resumable.

Source: Malviya et al. 2022; spec 2.2 and 5.
"""

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from clrepro.io.checkpoint import RunDir
from clrepro.metrics import continual
from clrepro.metrics.divergence import check_size
from clrepro.progress import Course, Progress
from clrepro.seeding import Seeds
from tag_repro.tag.epochs import accuracy, one_epoch
from tag_repro.tag.joint import train_in_turn, train_jointly
from tag_repro.tag.learner import make_learner
from tag_repro.tag.settings import TagSettings
from tag_repro.task_stream import TaskStream

PATIENT_EPOCHS, PATIENCE, HELD_OUT = 20, 5, 0.1  # more epochs than this may end early


@dataclass
class TagResult:
    """What a run measured.

    accuracy — float64 (T, T), [after task, on task], fractions, nan where not evaluated; alphas — (T, T),
    mean weight of each old task while learning each task, nan without TAG; seconds — (T,).
    """

    accuracy: NDArray[np.float64]
    alphas: NDArray[np.float64]
    seconds: NDArray[np.float64]
    joint: bool = False
    done: int = 0

    def metrics(self) -> dict[str, float]:
        """Returns A, F, F_signed, LA and BWT as fractions; of joint training A alone."""
        r = np.nan_to_num(self.accuracy)
        if self.joint:
            return {"A": continual.average_accuracy(r)}
        return {
            "A": continual.average_accuracy(r),
            "F": continual.forgetting_with_last(r),
            "F_signed": continual.forgetting(r),
            "LA": continual.learning_accuracy(r),
            "BWT": continual.backward_transfer(r),
        }


class Listener(Protocol):
    """What the loop tells whoever prints."""

    def task(self, result: TagResult, number: int) -> None:
        """After each task."""


class Run:
    """One run: its learner, and where it stands.

    Args: seeds — streams "init", "shuffle", "dropout", "memory"; checkpoint — folder of this run alone.
    """

    def __init__(
        self, settings: TagSettings, task_stream: TaskStream, seeds: Seeds, checkpoint: RunDir | None = None
    ) -> None:
        self.settings, self.task_stream, self.seeds = settings, task_stream, seeds
        self.checkpoint, self.learner = checkpoint, make_learner(settings, task_stream, seeds)
        self.device = self.learner.parameters[0].device
        tasks = len(task_stream.stream)
        empty = np.full((tasks, tasks), np.nan)
        self.result = TagResult(empty, empty.copy(), np.zeros(tasks), joint=settings.multi > 0)

    def train(self, listener: Listener | None = None, progress: Progress | None = None) -> TagResult:
        """Do what is left of the run; returns the result."""
        progress = progress or Progress.silent()
        if self.checkpoint is not None and (saved := self.checkpoint.load_state("task")) is not None:
            self.load(saved)
        tasks = len(self.task_stream.stream)
        if self.settings.multi and self.result.done < tasks:
            began = time.perf_counter()
            self._train_jointly(progress)
            self._finish(tasks - 1, began, listener)
            return self.result
        with progress.run(tasks, self.result.done) as course:
            for number in range(self.result.done, tasks):
                began = time.perf_counter()
                self._learn(number, course)
                self._finish(number, began, listener)
                course.at(number + 1)
        return self.result

    def _train_jointly(self, progress: Progress) -> None:
        settings, learner = self.settings, self.learner
        if settings.multi == 1:
            train_in_turn(self.epoch, self.task_stream, self.device, progress)
            return
        train_jointly(
            learner.network, learner.optimizer, self.task_stream, self.seeds, self.device, progress,
            one_head=settings.multi == 3, epochs=settings.epochs_per_task, batch_size=settings.batch_size,
        )  # fmt: skip

    def _finish(self, number: int, began: float, listener: Listener | None) -> None:
        """Evaluate after a task, save, tell."""
        for seen in range(number + 1):
            self.result.accuracy[number, seen] = self.accuracy(*self.task_stream.test(seen), seen)
        self.result.seconds[number] = time.perf_counter() - began
        self.result.done = number + 1
        if self.checkpoint is not None:
            self.checkpoint.save_state("task", self.state())
        if listener is not None:
            listener.task(self.result, number)

    def _learn(self, number: int, course: Course) -> None:
        """The epochs of a task; of more than 20 the last ones may be left out."""
        self.learner.begin_task(number)
        patient = self.settings.epochs_per_task > PATIENT_EPOCHS
        x, y = self.task_stream.training(number)
        if patient:
            task = self.task_stream.held_out(HELD_OUT, self.settings.seed).stream[number]
            x, y = task.x_train, self.task_stream.numbered(number, task.y_train)
        images, labels = torch.from_numpy(x).to(self.device), torch.from_numpy(y).to(self.device)
        best, waited = -1.0, 0
        for epoch in range(self.settings.epochs_per_task):
            self.epoch(images, labels, number)
            course.at(number + (epoch + 1) / (self.settings.epochs_per_task + 1))  # then the evaluation
            if patient:  # until accuracy on the tenth that is held out has not risen for five epochs
                found = self.accuracy(task.x_test, task.y_test, number)
                best, waited = (found, 0) if found > best else (best, waited + 1)
                if waited == PATIENCE:
                    break
        if (alphas := self.learner.alphas()) is not None:
            self.result.alphas[number, :number] = alphas
        self.learner.end_task(number)

    def epoch(self, x: torch.Tensor, y: torch.Tensor, number: int) -> None:
        """Train once on images uint8 (n, inputs) and numbered labels (n,) of a task, in a new order.

        Raises: FloatingPointError if the loss is no number, or if its mean is that of a diverged network.
        """
        shuffle = self.seeds.generator("shuffle")
        mean = one_epoch(self.learner, x, y, number, batch_size=self.settings.batch_size, rng=shuffle)
        if self.task_stream.shape is not None:
            check_size(mean, f"its losses in task {number + 1}", "lower --lr")

    def accuracy(self, x: NDArray[np.uint8], y: NDArray[np.int64], number: int) -> float:
        """Returns the share of right answers on images of a task (see `epochs.accuracy`)."""
        return accuracy(self.learner, self.task_stream, x, y, number, self.device)

    def state(self) -> dict[str, Any]:
        """Returns all that the rest of the run depends on."""
        return {
            **self.learner.state(), "seeds": self.seeds.state(), "accuracy": self.result.accuracy,
            "alphas": self.result.alphas, "seconds": self.result.seconds, "done": self.result.done,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.learner.load(state)
        self.seeds.load(state["seeds"])
        for name in ("accuracy", "alphas", "seconds"):
            getattr(self.result, name)[...] = state[name]
        self.result.done = int(state["done"])
