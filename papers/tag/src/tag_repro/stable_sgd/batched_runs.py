"""Stable SGD with many seeds at a time: each run has its own loop, all their epochs are done together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from clrepro.adapters import torch as adapter
from clrepro.kernels.batched_mlp import ManyMLP
from clrepro.kernels.batched_runs import Barrier, run_together
from clrepro.kernels.mlp import Layout
from clrepro.seeding import Seeds
from tag_repro.networks.initial import keep_factors
from tag_repro.settings import StableSettings
from tag_repro.stable_sgd.batches import Images, Labels, batches_of
from tag_repro.stable_sgd.fused_learner import FusedLearner
from tag_repro.task_stream import TaskStream


class Epoch(NamedTuple):
    """What a run asks for: one pass over its images, in its order."""

    x: Images
    y: Labels
    order: Labels
    rate: float
    outputs: tuple[int, int]


@dataclass
class BatchedRuns:
    """The networks of all runs, and the place where the runs meet."""

    settings: StableSettings
    networks: ManyMLP
    dropout: list[np.random.Generator]

    def __post_init__(self) -> None:
        self.barrier: Barrier[Epoch, float] = Barrier(len(self.dropout), self.epochs)

    def epochs(self, asked: Mapping[int, Epoch]) -> dict[int, float]:
        """Do the epochs of the runs `asked`; those of other runs stay as they are.  Returns mean losses."""
        if len({(len(e.order), e.outputs) for e in asked.values()}) > 1:
            raise ValueError("runs that learn together need tasks of one size and the same outputs")
        device, everyone = self.networks.device, range(len(self.dropout))
        stand_in = next(iter(asked.values()))  # for those that have left: their rate is 0
        epochs = [asked.get(number, stand_in._replace(rate=0.0)) for number in everyone]
        images = torch.from_numpy(np.stack([e.x for e in epochs])).to(device)
        labels = torch.from_numpy(np.stack([e.y - e.outputs[0] for e in epochs])).to(device)
        rates = torch.tensor([e.rate for e in epochs], dtype=torch.float32, device=device)
        row = torch.arange(len(epochs), device=device)[:, None]
        total = torch.zeros(len(epochs), dtype=torch.float64, device=device)
        self.networks.reset_momentum()
        stretches = zip(*(batches_of(e.order, self.settings.batch_size) for e in epochs), strict=True)
        for stretch in stretches:
            indices = torch.from_numpy(np.stack(stretch)).to(device)  # (S, batches, n)
            keep = self._keep(asked, *stretch[0].shape)
            for batch in range(indices.shape[1]):
                chosen = indices[:, batch]
                total += len(chosen[0]) * self.networks.step(
                    images[row, chosen].float().div_(255), labels[row, chosen], rates, self.settings.momentum,
                    None if keep is None else [keep[:, batch, layer] for layer in range(2)], stand_in.outputs,
                )  # fmt: skip
        losses = (total / len(stand_in.order)).tolist()
        return {number: losses[number] for number in asked}

    def _keep(self, asked: Mapping[int, Epoch], batches: int, n: int) -> torch.Tensor | None:
        """Every run's dropout, float32 (S, batches, 2, n, hidden), drawn as the other engines draw it."""
        p, hidden = self.settings.dropout, self.settings.hiddens
        if not p:
            return None
        empty = np.ones((batches, 2, n, hidden), np.float32)
        factors = [
            keep_factors(rng, batches, n, hidden, p) if number in asked else empty
            for number, rng in enumerate(self.dropout)
        ]
        return torch.from_numpy(np.stack(factors)).to(self.networks.device)


class ManyLearner(FusedLearner):
    """Run `number` of batched runs; it tests with the compiled engine, and learns with the others."""

    def __init__(
        self,
        settings: StableSettings,
        task_stream: TaskStream,
        seeds: Seeds,
        batched: BatchedRuns,
        number: int,
    ) -> None:
        super().__init__(settings, task_stream, seeds)
        self._batched, self._number = batched, number
        self._changed()

    def epoch(self, x: Images, y: Labels, order: Labels, rate: float, outputs: tuple[int, int]) -> float:
        """Train on all images in the given order, momentum from zero; returns the mean loss."""
        loss = self._batched.barrier.ask(self._number, Epoch(x, y, order, rate, outputs))
        self.theta[:] = self._batched.networks.theta(self._number)
        return loss

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        super().load(state)
        self._changed()

    def _changed(self) -> None:
        self._batched.networks.load(self._number, self.theta)


def make_batched(settings: StableSettings, seeds: Sequence[Seeds], inputs: int, outputs: int) -> BatchedRuns:
    """The networks of runs with these seeds, before their first step."""
    hidden = settings.hiddens
    layout = Layout((inputs, hidden, hidden, outputs))
    thetas = np.zeros((len(seeds), layout.n_params), np.float32)  # each learner brings its own
    device = str(adapter.pick_device(settings.device))
    dropout = [each.generator("dropout") for each in seeds]
    return BatchedRuns(settings, ManyMLP(layout, thetas, device), dropout)


def together(batched: BatchedRuns, runs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do the runs of `batched`; returns their results, or what they raised."""
    return run_together(runs, batched.barrier.leave)
