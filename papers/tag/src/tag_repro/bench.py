"""Speed benchmarks of TAG and Stable SGD: the optimizer's step against the formulas written down plainly, and
the fused loop against torch's.
"""

import contextlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clrepro.bench import Benchmark, Scaling
from clrepro.seeding import Seeds
from tag_repro.networks.models import ResNetS
from tag_repro.optim import TAG
from tag_repro.stable_sgd.learners import make_learner
from tag_repro.stable_sgd.settings import StableSettings
from tag_repro.stable_sgd.train import one_epoch
from tag_repro.streams import build

RATE, SHARPNESS, BETAS, EPS = 2.5e-4, 5.0, (0.9, 0.99), 1e-8
STEPS = 5


class PlainTAG:
    """TAG(rms) as one would write it from the paper: for every tensor, for every finished task."""

    def __init__(self, params: Iterable[Tensor]) -> None:
        self.params = list(params)
        self.old: list[list[tuple[Tensor, Tensor]]] = [[] for _ in self.params]

    def begin_task(self) -> None:
        """Start a task."""
        self.m = [torch.zeros_like(p) for p in self.params]
        self.v = [torch.zeros_like(p) for p in self.params]

    def end_task(self) -> None:
        """Keep direction and second moment."""
        for old, m, v in zip(self.old, self.m, self.v, strict=True):
            old.append((m / m.norm(), v))

    @torch.no_grad()
    def step(self) -> None:
        """One step on the gradients at hand."""
        for p, m, v, old in zip(self.params, self.m, self.v, self.old, strict=True):
            g = p.grad
            if g is None:
                continue
            m.mul_(BETAS[0]).add_(g, alpha=1 - BETAS[0])
            v.mul_(BETAS[1]).add_(g * g, alpha=1 - BETAS[1])
            direction = m / m.norm()
            total = v * np.exp(-SHARPNESS) if old else v.clone()
            for u_old, v_old in old:
                total = total + torch.exp(-SHARPNESS * (direction * u_old).sum()) * v_old
            p -= RATE * g / (total.sqrt() + EPS)


def benchmarks() -> Iterator[Benchmark]:
    """Yields the speed rows promised for TAG and Stable SGD."""
    for tasks in (1, 5, 10, 20):
        yield one_step(tasks)
    yield resnet_loop()
    yield stable_loop(100, 16)
    yield stable_loop(256, 10)


def scalings() -> Iterator[Scaling]:
    """Yields how the cost of TAG's step grows with the tasks behind it."""
    torch.set_num_threads(1)
    yield Scaling(
        "TAG step, ResNet-S",
        "task",
        "step",
        (1, 2, 5, 10, 20),
        {
            name: lambda tasks, name=name: stepping(*prepared(name, tasks))  # type: ignore[misc]
            for name in ("ours", "plain", "RMSprop")
        },
    )

    yield Scaling(
        "Stable SGD, 5 tasks of digits: many seeds of one row",
        "seeds",
        "seed",
        (1, 2, 4, 8, 16),
        {
            "a process each": lambda n: _processes(n) if n <= 2 else None,
            "one process, compiled": lambda n: _one_process(n, "fused"),
            "one process, torch": lambda n: _one_process(n, "reference") if n <= 4 else None,
            "together, batched": lambda n: _one_process(n, "batched"),
        },
        rounds=2,
    )


SEEDS_LINE = (
    "--dataset rot-mnist --profile quick --tasks 5 --epochs-per-task 2 --no-plots --dropout 0.25".split()
)


def _one_process(n: int, engine: str) -> Callable[[], int]:
    """Returns a function that runs `n` seeds in this process."""
    from tag_repro.stable_sgd import cli as stable_cli

    def work() -> int:
        with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
            seeds = ",".join(map(str, range(n)))
            code = stable_cli.main([*SEEDS_LINE, "--seeds", seeds, "--engine", engine, "--out", out])
        if code:
            raise RuntimeError(f"the run ended with {code}")
        return n

    return work


def _processes(n: int) -> Callable[[], int]:
    """Returns a function that runs `n` seeds as the original's command line does: one program each."""
    start = "from tag_repro.stable_sgd.cli import main; raise SystemExit(main())"
    program = [sys.executable, "-c", start, *SEEDS_LINE]

    def work() -> int:
        with tempfile.TemporaryDirectory() as out:
            for seed in range(n):
                command = [*program, "--seed", str(seed), "--out", out]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return n

    return work


def one_step(tasks: int) -> Benchmark:
    """A step in task number `tasks` on the reduced ResNet-18 with 100 outputs, P = 496,680."""
    torch.set_num_threads(1)
    made = {name: prepared(name, tasks) for name in ("ours", "ours, bfloat16", "plain", "RMSprop")}
    ours, plain = (torch.cat([p.detach().reshape(-1) for p in made[name][1]]) for name in ("ours", "plain"))
    apart = float((ours - plain).abs().max())
    if apart > 1e-6:
        raise AssertionError(f"the two TAGs are {apart:.2g} apart: nothing to compare")
    promised = {"plain": 6.0} if tasks == 20 else {}
    words = "≥ 6× the plain one" if promised else ""
    sides = {name: stepping(*each) for name, each in made.items()}
    return Benchmark(f"TAG step in task {tasks}, ResNet-S", "step", sides, words, rounds=9, promised=promised)


def prepared(name: str, tasks: int) -> tuple[Any, list[torch.nn.Parameter]]:
    """Returns an optimizer in task number `tasks`, and its parameters."""
    torch.manual_seed(0)
    params = list(ResNetS(100).parameters())
    if name == "RMSprop":
        return torch.optim.RMSprop(params, RATE), params
    if name == "plain":
        optimizer: Any = PlainTAG(params)
    else:
        dtype = torch.bfloat16 if "bfloat16" in name else None
        optimizer = TAG(params, RATE, "rms", SHARPNESS, state_dtype=dtype)
    learn_tasks(optimizer, params, tasks)
    return optimizer, params


def stepping(optimizer: Any, params: Sequence[torch.nn.Parameter]) -> Callable[[], int]:
    """Returns a function that takes a few steps on one gradient."""
    for p in params:
        p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(1))

    def work() -> int:
        for _ in range(STEPS):
            optimizer.step()
        return STEPS

    return work


def learn_tasks(optimizer: Any, params: Sequence[Tensor], tasks: int) -> None:
    """Two steps in each of `tasks` tasks on gradients that depend on nothing; the last is not ended."""
    source = torch.Generator().manual_seed(0)
    for task in range(tasks):
        optimizer.begin_task()
        for _ in range(2):
            for p in params:
                p.grad = torch.randn(p.shape, generator=source)
            optimizer.step()
        if task + 1 < tasks:
            optimizer.end_task()


def resnet_loop() -> Benchmark:
    """Steps of SGD on the reduced ResNet-18, batches of ten images 32×32, beside torch's own layers."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(10, 3, 32, 32, generator=generator), torch.arange(10) % 5
    sides: dict[str, Callable[[], int]] = {}
    for name in ("fused", "torch"):
        torch.manual_seed(0)
        network = ResNetS(100)
        network.fused = name == "fused"
        optimizer = torch.optim.SGD(network.parameters(), 0.01)

        def work(network: ResNetS = network, optimizer: Any = optimizer) -> int:
            for _ in range(STEPS):
                optimizer.zero_grad()
                functional.cross_entropy(network(x)[:, :5], y).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            return STEPS

        sides[name] = work
    title = "Reduced ResNet-18, 32×32, batch 10"
    return Benchmark(title, "step", sides, "≥ 2× torch's layers", rounds=9, promised={"torch": 2.0})


def stable_loop(hiddens: int, batch: int) -> Benchmark:
    """An epoch of Stable SGD's MLP with dropout on a task of digits."""
    torch.set_num_threads(1)
    sides: dict[str, Callable[[], int]] = {}
    for engine, name in (("fused", "fused"), ("reference", "torch")):
        settings = StableSettings(
            hiddens=hiddens, batch_size=batch, images="digits", engine=engine, lr=0.01, gamma=1.0, tasks=1
        )
        task_stream = build(settings, np.random.default_rng(0), None, multi_head=False)
        learner = make_learner(settings, task_stream, Seeds(0))
        learner.begin_task(0)
        x, y = task_stream.training(0)
        order = np.arange(len(y))

        def work(learner: Any = learner, x: Any = x, y: Any = y, order: Any = order) -> int:
            one_epoch(learner, x, y, 0, order, batch)
            return -(-len(order) // batch)

        sides[name] = work
    title = f"Stable SGD's loop, 784-{hiddens}-{hiddens}-10, batch {batch}, dropout"
    return Benchmark(title, "step", sides, "≥ 5× torch", rounds=7, promised={"torch": 5.0})
