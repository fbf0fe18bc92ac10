"""The TAG driver's loop: tasks one after the other, one optimizer, one method around it; resumable.

Source: Malviya et al. 2022; spec 2.2 and 5.
"""

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clrepro.adapters import torch as adapter
from clrepro.io.checkpoint import RunDir
from clrepro.metrics import continual
from clrepro.metrics.divergence import check_size
from clrepro.progress import Course, Progress
from clrepro.seeding import Seeds
from tag_repro.inputs import scaled
from tag_repro.networks.make import make_network
from tag_repro.optim import TAG
from tag_repro.settings import TagSettings
from tag_repro.stable_sgd.batches import IMAGE_TEST_BATCH, TEST_BATCH, score
from tag_repro.tag.joint import train_jointly
from tag_repro.tag.methods import make_method
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
    """One run: network, optimizer, method, and where it stands.

    Args: seeds — streams "init", "shuffle", "dropout", "memory"; checkpoint — folder of this run alone.
    """

    def __init__(
        self, settings: TagSettings, task_stream: TaskStream, seeds: Seeds, checkpoint: RunDir | None = None
    ) -> None:
        self.settings, self.task_stream, self.seeds, self.checkpoint = (
            settings,
            task_stream,
            seeds,
            checkpoint,
        )
        self.device, tasks = adapter.pick_device(settings.device), len(task_stream.stream)
        self._dropout = torch.Generator(self.device).manual_seed(seeds.integer("dropout"))
        self.network = make_network(settings, task_stream, seeds, self._dropout)
        self.optimizer = make_optimizer(settings, self.network)
        self.method = make_method(settings, self.network, task_stream, seeds)
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
            train_jointly(self, progress)
            self._finish(tasks - 1, began, listener)
            return self.result
        with progress.run(tasks, self.result.done) as course:
            for number in range(self.result.done, tasks):
                began = time.perf_counter()
                self._learn(number, course)
                self._finish(number, began, listener)
                course.at(number + 1)
        return self.result

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
        """The epochs of a task."""
        settings, optimizer = self.settings, self.optimizer
        if settings.opt == "":  # gamma is for plain SGD alone
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(number)
        if isinstance(optimizer, TAG):
            optimizer.begin_task()
        x, y = self.training(number)
        if settings.epochs_per_task > PATIENT_EPOCHS:
            self._epochs_until_no_better(number, course)
        else:
            for epoch in range(settings.epochs_per_task):
                self.epoch(x, y, number)
                course.at(number + (epoch + 1) / (settings.epochs_per_task + 1))  # then the evaluation
        if isinstance(optimizer, TAG):
            self.result.alphas[number, :number] = optimizer.alphas()
            optimizer.end_task()
        self.method.end_task(x, y, number)

    def _epochs_until_no_better(self, number: int, course: Course) -> None:
        """Train on nine tenths of the images until accuracy on the others has not risen for five epochs."""
        task = self.task_stream.held_out(HELD_OUT, self.settings.seed).stream[number]
        x = torch.from_numpy(task.x_train).to(self.device)
        y = torch.from_numpy(self.task_stream.numbered(number, task.y_train)).to(self.device)
        best, waited = -1.0, 0
        for epoch in range(self.settings.epochs_per_task):
            self.epoch(x, y, number)
            course.at(number + (epoch + 1) / (self.settings.epochs_per_task + 1))
            found = self.accuracy(task.x_test, task.y_test, number)
            best, waited = (found, 0) if found > best else (best, waited + 1)
            if waited == PATIENCE:
                break

    def epoch(self, x: Tensor, y: Tensor, number: int) -> None:
        """Train once on all images of a task, in a new order.

        Raises: FloatingPointError if the loss is no number, or if its mean is that of a diverged network.
        """
        self.network.train()
        losses = []
        if isinstance(self.optimizer, TAG) and self.settings.compat == "original":
            self.optimizer.restart_correction()
        order = torch.from_numpy(self.seeds.generator("shuffle").permutation(len(y))).to(x.device)
        for indices in torch.split(order, self.settings.batch_size):
            loss = self.method.gradients(scaled(x[indices], self.task_stream), y[indices], number)
            if not np.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} in task {number + 1}; lower --lr")
            losses.append(loss)
            self.optimizer.step()
        if self.task_stream.shape is not None:
            check_size(float(np.mean(losses)), f"its losses in task {number + 1}", "lower --lr")

    def training(self, number: int) -> tuple[Tensor, Tensor]:
        """Returns a task's training images uint8 (n, inputs), and labels numbered over all tasks."""
        task = self.task_stream.stream[number]
        y = self.task_stream.numbered(number, task.y_train)
        return torch.from_numpy(task.x_train).to(self.device), torch.from_numpy(y).to(self.device)

    def accuracy(self, x: NDArray[np.uint8], y: NDArray[np.int64], number: int) -> float:
        """Returns the share of right answers on images of a task, among its own outputs.

        Raises: FloatingPointError if the network has diverged.
        """
        low, high = self.task_stream.outputs(number)
        labels = self.task_stream.numbered(number, y) - low
        self.network.eval()
        normalised = self.task_stream.shape is not None
        right, size = 0, TEST_BATCH if self.task_stream.shape is None else IMAGE_TEST_BATCH
        with torch.no_grad():
            for start in range(0, len(y), size):
                part = slice(start, start + size)
                images = scaled(torch.from_numpy(x[part]).to(self.device), self.task_stream)
                logits = self.network(images)[:, low:high].double().cpu().numpy()
                largest, what = float(np.abs(logits).max()), f"its outputs for task {number + 1}"
                check_size(largest, what, "lower --lr", normalised=normalised)
                right += score(logits, labels[part])[0]
        return right / len(y)

    def state(self) -> dict[str, Any]:
        """Returns all that the rest of the run depends on."""
        network = {name: value.cpu().numpy().copy() for name, value in self.network.state_dict().items()}
        return {
            "network": network, "optimizer": adapter.optimizer_state(self.optimizer),
            "method": self.method.state(), "seeds": self.seeds.state(),
            "dropout": adapter.generator_state(self._dropout), "accuracy": self.result.accuracy,
            "alphas": self.result.alphas, "seconds": self.result.seconds, "done": self.result.done,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state["network"].items()})
        adapter.load_optimizer_state(self.optimizer, state["optimizer"])
        self.method.load(state["method"])
        self.seeds.load(state["seeds"])
        adapter.load_generator_state(self._dropout, state["dropout"])
        for name in ("accuracy", "alphas", "seconds"):
            getattr(self.result, name)[...] = state[name]
        self.result.done = int(state["done"])


def make_optimizer(settings: TagSettings, network: nn.Module) -> torch.optim.Optimizer:
    """Returns the optimizer that --opt names, one for the whole stream."""
    kind, parameters = settings.method.optimizer, list(network.named_parameters())
    if kind == "tag":
        return TAG(parameters, settings.lr, settings.tag_opt, settings.b)
    plain = [p for _, p in parameters]
    together = settings.device == "cpu" or None  # None: torch's own choice
    if kind == "rms":
        return torch.optim.RMSprop(plain, settings.lr, foreach=together)
    if kind == "adagrad":
        return torch.optim.Adagrad(plain, settings.lr, fused=together)
    if kind == "adam":
        return torch.optim.Adam(plain, settings.lr, fused=together)
    return torch.optim.SGD(plain, settings.lr)
