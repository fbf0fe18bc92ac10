"""Experience replay on permuted MNIST: a learner, its loop, its settings and its program."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from clrepro.buffers import Reservoir
from clrepro.datasets import load
from clrepro.program import Parser, Program, run_command
from clrepro.records import Outcome
from clrepro.seeding import Seeds
from clrepro.settings import add_flags, check, fingerprint, keywords, option
from clrepro.streams import permuted


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
    """SGD on a batch and as many remembered examples.  x float32 (b, inputs), y int64 (b,)."""

    def __init__(self, network: torch.nn.Module, inputs: int, *, memories: int, lr: float, rng: Any) -> None:
        self.network = network
        self.optimizer = torch.optim.SGD(network.parameters(), lr)
        self.reservoir = Reservoir(memories, rng) if memories else None
        self.x, self.y = torch.zeros(memories, inputs), torch.zeros(memories, dtype=torch.int64)

    def observe(self, x: torch.Tensor, y: torch.Tensor, task: int) -> None:
        """Learn a batch of a task."""
        together = (x, y)
        if self.reservoir is not None and self.reservoir.size:
            slots = self.reservoir.sample(len(y))
            together = torch.cat([x, self.x[slots]]), torch.cat([y, self.y[slots]])
        self.optimizer.zero_grad()
        functional.cross_entropy(self.network(together[0]), together[1]).backward()
        self.optimizer.step()
        if self.reservoir is not None:
            for row, slot in enumerate(self.reservoir.add(len(y))):
                if slot >= 0:
                    self.x[slot], self.y[slot] = x[row], y[row]

    def predict(self, x: torch.Tensor, task: int) -> torch.Tensor:
        """Returns logits (n, 10)."""
        with torch.no_grad():
            return torch.as_tensor(self.network(x))

    def state(self) -> dict[str, Any]:
        """Returns what a continuation needs."""
        memory = None if self.reservoir is None else self.reservoir.state()
        return {"network": self.network.state_dict(), "x": self.x, "y": self.y, "reservoir": memory}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.network.load_state_dict(state["network"])
        self.x.copy_(state["x"])
        self.y.copy_(state["y"])
        if self.reservoir is not None:
            self.reservoir.load(state["reservoir"])


def train(settings: Settings) -> np.ndarray:
    """Returns R float64 (tasks, tasks): the accuracy on every task after every task."""
    seeds, data = Seeds(settings.seed), load("mnist_quick")
    flat = [x.reshape(len(x), -1) for x in (data.x_train, data.x_test)]
    split = (flat[0], data.y_train, flat[1], data.y_test)
    tasks = permuted(split, settings.tasks, seeds.generator("tasks"))
    torch.manual_seed(seeds.integer("init"))
    network = torch.nn.Sequential(torch.nn.Linear(784, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10))
    own = keywords(ExperienceReplay, settings, rng=seeds.generator("memory"))
    learner, r = ExperienceReplay(network, 784, **own), np.zeros((settings.tasks, settings.tasks))
    for t, task in enumerate(tasks):
        x, y = images(task.x_train), torch.from_numpy(task.y_train)
        order = torch.from_numpy(seeds.generator("order").permutation(len(y)))
        for indices in torch.split(order, settings.batch):
            learner.observe(x[indices], y[indices], t)
        for seen, each in enumerate(tasks):
            r[t, seen] = (learner.predict(images(each.x_test), seen).argmax(1).numpy() == each.y_test).mean()
    return r


def images(x: np.ndarray) -> torch.Tensor:
    """Pixels from 0 to 1."""
    return torch.from_numpy(x.astype(np.float32) / np.float32(255))


def parse(argv: Sequence[str] | None) -> Settings:
    """Returns the settings of a command line."""
    parser = Parser(prog="main.py", description="Experience replay on permuted MNIST.")
    add_flags(parser, Settings)
    return Settings(**vars(parser.parse_args(argv)))


def outcome(settings: Settings) -> Outcome:
    """Returns what a run's record keeps."""
    r = train(settings)
    return Outcome({"A": float(r[-1].mean())}, {"R": r}, fingerprint(settings), {"name": "mnist_quick"})


def run(settings: Settings) -> None:
    """Train and say how well."""
    print(f"average accuracy {100 * outcome(settings).metrics['A']:.1f} %")


MAIN = Program("main.py", "er", frozenset({"torch"}), parse, run, lambda settings, _: outcome(settings))


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Run one command of a profile."""
    return run_command((MAIN,), argv, work_dir)


if __name__ == "__main__":
    raise SystemExit(MAIN.main())
