"""Stable SGD with the compiled MLP of `clrepro.kernels.batch`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.kernels import batch, mlp
from clrepro.seeding import Seeds
from tag_repro.batches import Images, Labels, one_by_one
from tag_repro.evaluation import score
from tag_repro.networks.initial import keep_factors, mlp_layers
from tag_repro.task_stream import TaskStream


class FusedLearner:
    """SGD with dropout, whose rate falls from task to task and whose momentum starts at 0 in every epoch.

    A `clrepro.learner.Learner` on arrays: images uint8 (n, inputs), labels numbered over all tasks.
    Args: task_stream — what is learnt; seeds — streams "init" and "dropout"; rate — learning rate of task 0,
        1, ...; hiddens — units of both layers.
    """

    score = staticmethod(score)

    def __init__(
        self,
        task_stream: TaskStream,
        seeds: Seeds,
        *,
        rate: Callable[[int], float],
        momentum: float = 0.8,
        dropout: float = 0.0,
        hiddens: int = 256,
    ) -> None:
        self.task_stream, self.momentum, self.dropout, self.hiddens = task_stream, momentum, dropout, hiddens
        self._rate, self.rate = rate, 0.0
        inputs, outputs = task_stream.stream.n_inputs, task_stream.n_outputs
        self.layout = mlp.Layout((inputs, hiddens, hiddens, outputs))
        layers = mlp_layers(inputs, hiddens, outputs, seeds.generator("init"))
        self.theta = batch.aligned(self.layout.n_params)
        self.theta[:] = np.concatenate([part.ravel() for layer in layers for part in layer])
        self._velocity = batch.aligned(self.layout.n_params)
        self._trainer, self._dropout = batch.BatchTrainer(self.layout), seeds.generator("dropout")

    def begin_task(self, task: int) -> None:
        """Take the rate of a task."""
        self.rate = self._rate(task)

    def begin_epoch(self) -> None:
        """Momentum starts from zero."""
        self._velocity[:] = 0

    def observe(self, x: Images, y: Labels, task: int) -> NDArray[np.float64]:
        """Learn a batch x (n, inputs), y (n,) of a task, or several one after the other: x (steps, n,
        inputs), y (steps, n); returns the loss before each step, (steps,).
        """
        x, y = one_by_one(x, y)
        indices = np.arange(y.size).reshape(y.shape)
        return self._trainer.sgd_steps(
            self.theta, self._velocity if self.momentum else None, x.reshape(y.size, -1), y.ravel(), indices,
            self.rate, self.momentum, keep=self._keep(*y.shape), classes=self.task_stream.outputs(task),
        )  # fmt: skip

    def _keep(self, batches: int, n: int) -> NDArray[np.float32] | None:
        if not self.dropout:
            return None
        keep = np.zeros(self._trainer.keep_shape(batches, n), np.float32)
        keep[:, :, :n, : self.hiddens] = keep_factors(self._dropout, batches, n, self.hiddens, self.dropout)
        return keep

    def predict(self, x: Images, task: int) -> NDArray[np.float64]:
        """Returns logits (n, classes per task) of images of a task, over its own outputs."""
        scaled = np.asarray(x / np.float32(255), np.float32)
        outputs = slice(*self.task_stream.outputs(task))
        return self._trainer.logits(self.theta, scaled)[:, outputs].astype(np.float64)

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
        """Returns the parameters, between two epochs."""
        return {"theta": self.theta.copy()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.theta[...] = state["theta"]
