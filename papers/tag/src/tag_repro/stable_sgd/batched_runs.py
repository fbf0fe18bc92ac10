"""Stable SGD with many seeds at a time: each run has its own loop, their batches are learnt together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from clrepro.adapters import torch as adapter
from clrepro.kernels.batched_mlp import ManyMLP
from clrepro.kernels.batched_runs import Barrier, run_together
from clrepro.kernels.mlp import Layout
from clrepro.seeding import Seeds
from tag_repro.batches import Images, Labels, one_by_one
from tag_repro.networks.initial import keep_factors
from tag_repro.stable_sgd.fused_learner import FusedLearner


class Stretch(NamedTuple):
    """What a run asks for: some batches x (steps, n, inputs), y (steps, n), labels from 0; `begins` — they
    are the first of an epoch.
    """

    x: Images
    y: Labels
    rate: float
    outputs: tuple[int, int]
    begins: bool


@dataclass
class BatchedRuns:
    """The networks of all runs, and the place where the runs meet."""

    networks: ManyMLP
    dropouts: list[np.random.Generator]
    dropout: float
    hiddens: int
    momentum: float

    def __post_init__(self) -> None:
        self.barrier: Barrier[Stretch, NDArray[np.float64]] = Barrier(len(self.dropouts), self.learn)

    def learn(self, asked: Mapping[int, Stretch]) -> dict[int, NDArray[np.float64]]:
        """Learn the batches of the runs `asked`; those of other runs stay as they are.

        Returns: the loss before each step, (steps,) per run.
        """
        if len({(e.y.shape, e.outputs, e.begins) for e in asked.values()}) > 1:
            raise ValueError("runs that learn together need tasks of one size and the same outputs")
        device, everyone = self.networks.device, range(len(self.dropouts))
        stand_in = next(iter(asked.values()))  # for those that have left: their rate is 0
        each = [asked.get(number, stand_in._replace(rate=0.0)) for number in everyone]
        images = torch.from_numpy(np.stack([e.x for e in each])).to(device)  # (S, steps, n, inputs)
        labels = torch.from_numpy(np.stack([e.y for e in each])).to(device)
        rates = torch.tensor([e.rate for e in each], dtype=torch.float32, device=device)
        if stand_in.begins:
            self.networks.reset_momentum()
        keep, losses = self._keep(asked, *stand_in.y.shape), []
        for step in range(images.shape[1]):
            losses.append(self.networks.step(
                images[:, step].float().div_(255), labels[:, step], rates, self.momentum,
                None if keep is None else [keep[:, step, layer] for layer in range(2)], stand_in.outputs,
            ))  # fmt: skip
        found = torch.stack(losses, dim=1).double().cpu().numpy()
        return {number: found[number] for number in asked}

    def _keep(self, asked: Mapping[int, Stretch], batches: int, n: int) -> torch.Tensor | None:
        """Every run's dropout, float32 (S, batches, 2, n, hidden), drawn as the other engines draw it."""
        if not self.dropout:
            return None
        empty = np.ones((batches, 2, n, self.hiddens), np.float32)
        factors = [
            keep_factors(rng, batches, n, self.hiddens, self.dropout) if number in asked else empty
            for number, rng in enumerate(self.dropouts)
        ]
        return torch.from_numpy(np.stack(factors)).to(self.networks.device)


class ManyLearner(FusedLearner):
    """Run `number` of those that learn together; it tests with the compiled engine, and learns with the
    others.
    """

    def __init__(self, *args: Any, batched: BatchedRuns, number: int, **more: Any) -> None:
        self._batched, self._number, self._begins, self._old = batched, number, True, False
        super().__init__(*args, **more)
        self._changed()

    @property
    def theta(self) -> NDArray[np.float32]:
        """The parameters, brought here when they are asked for."""
        if self._old:
            self._theta[:], self._old = self._batched.networks.theta(self._number), False
        return self._theta

    @theta.setter
    def theta(self, value: NDArray[np.float32]) -> None:
        self._theta = value

    def begin_epoch(self) -> None:
        """Momentum starts from zero."""
        self._begins = True

    def observe(self, x: Images, y: Labels, task: int) -> NDArray[np.float64]:
        """Learn one batch, or several one after the other; returns the loss before each step, (steps,)."""
        outputs = self.task_stream.outputs(task)
        x, y = one_by_one(x, y)
        asked = Stretch(x, y - outputs[0], self.rate, outputs, self._begins)
        losses = self._batched.barrier.ask(self._number, asked)
        self._begins, self._old = False, True
        return losses

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        super().load(state)
        self._changed()

    def _changed(self) -> None:
        self._batched.networks.load(self._number, self.theta)


def make_batched(
    seeds: Sequence[Seeds], inputs: int, outputs: int, *, hiddens: int, dropout: float, momentum: float,
    device: str = "cpu",
) -> BatchedRuns:  # fmt: skip
    """Returns the networks of runs with these seeds, before their first step."""
    layout = Layout((inputs, hiddens, hiddens, outputs))
    thetas = np.zeros((len(seeds), layout.n_params), np.float32)  # each learner brings its own
    networks = ManyMLP(layout, thetas, str(adapter.pick_device(device)))
    return BatchedRuns(networks, [each.generator("dropout") for each in seeds], dropout, hiddens, momentum)


def together(batched: BatchedRuns, runs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do runs that learn together; returns their results, or what they raised."""
    return run_together(runs, batched.barrier.leave)
