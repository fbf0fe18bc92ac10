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
from clrepro.metrics import continual
from clrepro.runs import RunDir
from clrepro.seeding import Seeds
from tag_repro.benchmarks import Benchmark
from tag_repro.losses import mixed_loss
from tag_repro.methods import make_method
from tag_repro.models import MLP, Dropout, ResNetS
from tag_repro.optim import TAG
from tag_repro.settings import TagSettings
from tag_repro.stable_learners import score

CYCLES = 6  # of --multi 1: visits of every task
TEST_BATCH = 500


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
            return {"A": continual.tag_average_accuracy(r), "F": 0.0, "LA": 0.0}
        return {
            "A": continual.tag_average_accuracy(r),
            "F": continual.tag_forgetting(r),
            "F_signed": continual.chaudhry_forgetting(r),
            "LA": continual.tag_learning_accuracy(r),
            "BWT": continual.gem_backward(r),
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
        self, settings: TagSettings, benchmark: Benchmark, seeds: Seeds, checkpoint: RunDir | None = None
    ) -> None:
        self.settings, self.benchmark, self.seeds, self.checkpoint = settings, benchmark, seeds, checkpoint
        self.device, tasks = torch.device(settings.device), len(benchmark.stream)
        self._dropout = torch.Generator(self.device).manual_seed(seeds.integer("dropout"))
        with adapter.drawing_from(seeds.integer("init")):
            self.network = self._network().to(self.device)
        self.optimizer = make_optimizer(settings, self.network)
        self.method = make_method(settings, self.network, benchmark, seeds)
        empty = np.full((tasks, tasks), np.nan)
        self.result = TagResult(empty, empty.copy(), np.zeros(tasks), joint=settings.multi > 0)

    def _network(self) -> nn.Module:
        dropout = Dropout(self.settings.dropout, self._dropout)
        if self.settings.dataset == "cifar100":
            return ResNetS(self.benchmark.n_outputs, dropout)
        return MLP(self.benchmark.stream.n_inputs, self.settings.hiddens, self.benchmark.n_outputs, dropout)

    def train(self, listener: Listener | None = None) -> TagResult:
        """Do what is left of the run; returns the result."""
        if self.settings.multi:
            return self._multi_task()
        if self.checkpoint is not None and (saved := self.checkpoint.load_state("task")) is not None:
            self.load(saved)
        for number in range(self.result.done, len(self.benchmark.stream)):
            began = time.perf_counter()
            self._learn(number)
            self._evaluate(number)
            self.result.seconds[number] = time.perf_counter() - began
            self.result.done = number + 1
            if self.checkpoint is not None:
                self.checkpoint.save_state("task", self.state())
            if listener is not None:
                listener.task(self.result, number)
        return self.result

    def _learn(self, number: int) -> None:
        """The epochs of a task."""
        settings, optimizer = self.settings, self.optimizer
        if settings.opt == "":  # gamma is for plain SGD alone
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(number)
        if isinstance(optimizer, TAG):
            optimizer.begin_task()
        x, y = self._training(number)
        for _ in range(settings.epochs_per_task):
            self._epoch(x, y, number)
        if isinstance(optimizer, TAG):
            self.result.alphas[number, :number] = optimizer.alphas()
            optimizer.end_task()
        self.method.end_task(self._images(x), y, number)

    def _epoch(self, x: Tensor, y: Tensor, number: int) -> None:
        self.network.train()
        order = torch.from_numpy(self.seeds.generator("shuffle").permutation(len(y)))
        for picks in torch.split(order, self.settings.batch_size):
            loss = self.method.gradients(self._images(x[picks]), y[picks], number)
            if not np.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} in task {number + 1}; lower --lr")
            self.optimizer.step()

    def _training(self, number: int) -> tuple[Tensor, Tensor]:
        """Training images uint8 (n, inputs) and labels numbered over all tasks."""
        task, (low, _) = self.benchmark.stream[number], self.benchmark.outputs(number)
        shift = low if self.settings.dataset != "cifar100" else 0
        return torch.from_numpy(task.x_train).to(self.device), torch.from_numpy(task.y_train + shift).to(
            self.device
        )

    def _images(self, x: Tensor) -> Tensor:
        scaled = x.float() / 255
        return scaled.reshape(-1, 3, 32, 32) if self.settings.dataset == "cifar100" else scaled

    def _evaluate(self, number: int) -> None:
        """Fill row `number`: accuracy on the tasks up to it."""
        self.network.eval()
        for seen in range(number + 1):
            task, (low, high) = self.benchmark.stream[seen], self.benchmark.outputs(seen)
            y = self.benchmark.numbered(seen, task.y_test) - low
            images = torch.from_numpy(task.x_test).to(self.device)
            right = 0
            with torch.no_grad():
                for start in range(0, len(y), TEST_BATCH):
                    x = self._images(
                        torch.from_numpy(task.x_test[start : start + TEST_BATCH]).to(self.device)
                    )
                    logits = self.network(x)[:, low:high].double().cpu().numpy()
                    right += score(logits, y[start : start + TEST_BATCH])[0]
            self.result.accuracy[number, seen] = right / len(y)

    def _multi_task(self) -> TagResult:
        """An upper bound.  --multi 1: all tasks in turn, six times; 2: all tasks' examples shuffled."""
        tasks = range(len(self.benchmark.stream))
        if self.settings.multi == 1:
            for _ in range(CYCLES):
                for number in tasks:
                    self._epoch(*self._training(number), number)
        else:
            parts = [self._training(number) for number in tasks]
            x, y = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
            for _ in range(self.settings.epochs_per_task):
                self.network.train()
                order = torch.from_numpy(self.seeds.generator("shuffle").permutation(len(y)))
                for picks in torch.split(order, self.settings.batch_size):
                    self.optimizer.zero_grad()
                    logits = self.network(self._images(x[picks]))
                    loss = mixed_loss(logits, y[picks], self.benchmark.classes_per_task)
                    loss.backward()  # type: ignore[no-untyped-call]
                    self.optimizer.step()
        self._evaluate(len(self.benchmark.stream) - 1)
        self.result.done = len(self.benchmark.stream)
        return self.result

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
    if kind == "rms":
        return torch.optim.RMSprop(plain, settings.lr)
    if kind == "adagrad":
        return torch.optim.Adagrad(plain, settings.lr)
    return torch.optim.Adam(plain, settings.lr) if kind == "adam" else torch.optim.SGD(plain, settings.lr)
