"""Experience replay on permuted MNIST: a learner, its loop, its settings and its program."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from clrepro import Seeds, datasets, streams
from clrepro.buffers import ReservoirBuffer
from clrepro.metrics import AccuracyMatrix
from clrepro.program import Parser, Program, run_command
from clrepro.records import Outcome
from clrepro.settings import add_flags, check, fingerprint, keywords, option


@dataclass(frozen=True)
class Settings:
    """One run."""

    memories: int = option(100, "examples remembered; 0: plain SGD", within="[0, inf)")
    lr: float = option(0.1, "learning rate of SGD", within="(0, inf)")
    batch: int = option(10, "examples in a step, and as many remembered ones", within="[1, inf)")
    tasks: int = option(5, "permutations of the pixels", within="[1, inf)")
    seed: int = option(0, "of every random choice", within="[0, inf)")

    def __post_init__(self) -> None:
        check(self)


class ExperienceReplay:
    """SGD on a batch and as many remembered examples.  x float32 (b, inputs), y int64 (b,), of numpy."""

    def __init__(self, network: torch.nn.Module, *, memories: int, lr: float, rng: Any) -> None:
        self.network = network
        self.optimizer = torch.optim.SGD(network.parameters(), lr)
        self.buffer = ReservoirBuffer(memories, rng) if memories else None

    def observe(self, x: np.ndarray, y: np.ndarray, task: int) -> None:
        """Learn a batch of a task."""
        together = [x], [y]
        if self.buffer is not None and len(self.buffer):
            old = self.buffer.sample(len(y))
            together[0].append(old["x"])
            together[1].append(old["y"])
        logits = self.network(torch.from_numpy(np.concatenate(together[0])))
        self.optimizer.zero_grad()
        functional.cross_entropy(logits, torch.from_numpy(np.concatenate(together[1]))).backward()
        self.optimizer.step()
        if self.buffer is not None:
            self.buffer.add(x=x, y=y)

    def predict(self, x: np.ndarray, task: int) -> np.ndarray:
        """Returns logits (n, 10)."""
        with torch.no_grad():
            return np.asarray(self.network(torch.from_numpy(x)).numpy())

    def state(self) -> dict[str, Any]:
        """Returns what a continuation needs."""
        memory = None if self.buffer is None else self.buffer.state()
        return {"network": self.network.state_dict(), "memory": memory}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.network.load_state_dict(state["network"])
        if self.buffer is not None:
            self.buffer.load(state["memory"])


def train(settings: Settings) -> AccuracyMatrix:
    """Returns the accuracy on every task after every task."""
    seeds = Seeds(settings.seed)
    tasks = streams.permuted(datasets.load("mnist_quick"), settings.tasks, seeds["tasks"])
    torch.manual_seed(seeds.integer("init"))
    network = torch.nn.Sequential(torch.nn.Linear(784, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10))
    learner = ExperienceReplay(network, **keywords(ExperienceReplay, settings, rng=seeds["memory"]))
    matrix = AccuracyMatrix(settings.tasks)
    for t, task in enumerate(tasks):
        x = images(task.x_train)
        order = seeds["order"].permutation(len(x))
        for indices in np.split(order, range(settings.batch, len(x), settings.batch)):
            learner.observe(x[indices], task.y_train[indices], t)
        answers = [learner.predict(images(each.x_test), k).argmax(1) for k, each in enumerate(tasks)]
        matrix.record(t, [(a == each.y_test).mean() for a, each in zip(answers, tasks, strict=True)])
    return matrix


def images(x: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1."""
    return x.astype(np.float32) / np.float32(255)


def parse(argv: Sequence[str] | None) -> Settings:
    """Returns the settings of a command line."""
    parser = Parser(prog="main.py", description="Experience replay on permuted MNIST.")
    add_flags(parser, Settings)
    return Settings(**vars(parser.parse_args(argv)))


def outcome(settings: Settings) -> Outcome:
    """Returns what a run's record keeps."""
    matrix = train(settings)
    metrics = {"A": matrix.average_accuracy(), "F": matrix.forgetting()}
    return Outcome(metrics, {"R": matrix.values}, fingerprint(settings), {"name": "mnist_quick"})


def run(settings: Settings) -> None:
    """Train and say how well."""
    print(f"average accuracy {100 * outcome(settings).metrics['A']:.1f} %")


MAIN = Program("main.py", "er", frozenset({"torch"}), parse, run, lambda settings, _: outcome(settings))


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile."""
    return run_command((MAIN,), argv, work_dir)


if __name__ == "__main__":
    raise SystemExit(MAIN.main())
