"""The compiled learner of Stable SGD: an MLP on the CPU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.seeding import Seeds
from tag_repro.networks.initial import keep_factors, mlp_layers
from tag_repro.settings import StableSettings
from tag_repro.stable_sgd.batches import TEST_BATCH, Images, Labels, batches_of, score
from tag_repro.task_stream import TaskStream


class FusedLearner:
    """The compiled MLP of `clrepro.kernels.batch`."""

    def __init__(self, settings: StableSettings, task_stream: TaskStream, seeds: Seeds) -> None:
        from clrepro.kernels import batch, mlp

        self.settings = settings
        inputs, hidden = task_stream.stream.n_inputs, settings.hiddens
        self.layout = mlp.Layout((inputs, hidden, hidden, task_stream.n_outputs))
        layers = mlp_layers(inputs, hidden, task_stream.n_outputs, seeds.generator("init"))
        self.theta = batch.aligned(self.layout.n_params)
        self.theta[:] = np.concatenate([part.ravel() for layer in layers for part in layer])
        self._velocity = batch.aligned(self.layout.n_params)
        self._trainer, self._dropout = batch.BatchTrainer(self.layout), seeds.generator("dropout")

    def epoch(self, x: Images, y: Labels, order: Labels, rate: float, outputs: tuple[int, int]) -> float:
        """Train on all images in the given order, momentum from zero; returns the mean loss."""
        self._velocity[:] = 0
        momentum = self.settings.momentum
        total = 0.0
        for indices in batches_of(order, self.settings.batch_size):
            losses = self._trainer.sgd_steps(
                self.theta, self._velocity if momentum else None, x, y, indices, rate, momentum,
                keep=self._keep(*indices.shape), classes=outputs,
            )  # fmt: skip
            total += float(losses.sum()) * indices.shape[1]
        return total / len(order)

    def _keep(self, batches: int, n: int) -> NDArray[np.float32] | None:
        if not self.settings.dropout:
            return None
        hidden = self.settings.hiddens
        keep = np.zeros(self._trainer.keep_shape(batches, n), np.float32)
        keep[:, :, :n, :hidden] = keep_factors(self._dropout, batches, n, hidden, self.settings.dropout)
        return keep

    def evaluate(self, x: Images, y: Labels, outputs: tuple[int, int]) -> tuple[float, float]:
        """Returns accuracy as a fraction, and the mean cross-entropy per image."""
        right, loss = 0, 0.0
        for start in range(0, len(y), TEST_BATCH):
            part = slice(start, start + TEST_BATCH)
            scaled = np.asarray(x[part] / np.float32(255), np.float32)
            logits = self._trainer.logits(self.theta, scaled)[:, slice(*outputs)].astype(np.float64)
            one_right, one_loss = score(logits, y[part] - outputs[0])
            right, loss = right + one_right, loss + one_loss
        return right / len(y), loss / len(y)

    def module(self) -> Any:
        """Returns the network as a torch module."""
        import torch

        from tag_repro.networks.models import MLP

        sizes = self.layout.sizes
        network = MLP(sizes[0], sizes[1], sizes[-1])
        with torch.no_grad():
            linears = (network.first, network.second, network.head)
            for linear, (weight, bias) in zip(linears, self.layout.views(self.theta), strict=True):
                linear.weight.copy_(torch.from_numpy(weight.T.copy()))
                linear.bias.copy_(torch.from_numpy(bias))
        return network.eval()

    def vector(self) -> NDArray[np.float32]:
        """Returns all parameters as one vector."""
        return self.theta.copy()

    def state(self) -> dict[str, Any]:
        """Returns the parameters."""
        return {"theta": self.theta.copy()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.theta[...] = state["theta"]
