"""Stable SGD in torch: the reference for the MLP, and the only one for CIFAR-100 and GPUs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clrepro.adapters import torch as adapter
from clrepro.seeding import Seeds
from tag_repro.batches import Images, Labels, one_by_one
from tag_repro.inputs import scaled
from tag_repro.networks.initial import keep_factors, mlp_layers
from tag_repro.networks.make import resnet_s
from tag_repro.networks.models import MLP, Dropout
from tag_repro.task_stream import TaskStream


class TorchLearner:
    """An MLP or a ResNet-S with torch's SGD, made anew in every epoch; arguments and methods as those of
    `fused_learner.FusedLearner`.

    Args: engine — see `tag_repro.networks.make.resnet_s`; device — of torch.
    """

    def __init__(
        self,
        task_stream: TaskStream,
        seeds: Seeds,
        *,
        rate: Callable[[int], float],
        momentum: float = 0.8,
        dropout: float = 0.0,
        hiddens: int = 256,
        engine: str = "auto",
        device: str = "cpu",
    ) -> None:
        self.task_stream, self.momentum, self.dropout, self.hiddens = task_stream, momentum, dropout, hiddens
        self._rate, self.rate, self.device = rate, 0.0, adapter.pick_device(device)
        self._factors = seeds.generator("dropout")
        self._dropout = torch.Generator(self.device).manual_seed(seeds.integer("dropout"))
        self.is_mlp = task_stream.shape is None
        self.network = self._network(seeds, engine).to(self.device)
        self.begin_epoch()

    def _network(self, seeds: Seeds, engine: str) -> torch.nn.Module:
        found, outputs = self.task_stream, self.task_stream.n_outputs
        if found.shape is not None:
            with adapter.drawing_from(seeds.integer("init")):
                return resnet_s(outputs, Dropout(self.dropout, self._dropout), found.shape[-1], engine)
        network = MLP(found.stream.n_inputs, self.hiddens, outputs)
        layers = mlp_layers(found.stream.n_inputs, self.hiddens, outputs, seeds.generator("init"))
        with torch.no_grad():
            for p, value in zip(network.parameters(), [a for layer in layers for a in layer], strict=True):
                p.copy_(torch.from_numpy(value.T.copy()))
        return network

    def begin_task(self, task: int) -> None:
        """Take the rate of a task."""
        self.rate = self._rate(task)

    def begin_epoch(self) -> None:
        """Momentum starts from zero."""
        self._optimizer = torch.optim.SGD(self.network.parameters(), self.rate, momentum=self.momentum)

    def observe(self, x: Images, y: Labels, task: int) -> NDArray[np.float64]:
        """Learn one batch, or several one after the other; returns the loss before each step, (steps,)."""
        x, y = one_by_one(x, y)
        low, high = self.task_stream.outputs(task)
        labels, factors = torch.from_numpy(y - low).to(self.device), self._keep(*y.shape)
        self.network.train()
        losses = np.empty(len(y))
        for step in range(len(y)):
            logits = self._forward(x[step], None if factors is None else factors[step])[:, low:high]
            loss = functional.cross_entropy(logits, labels[step])
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            losses[step] = loss.item()
        return losses

    def _forward(self, x: Images, keep: Tensor | None = None) -> Tensor:
        images = scaled(torch.from_numpy(x).to(self.device), self.task_stream)
        return torch.as_tensor(self.network(images, keep) if self.is_mlp else self.network(images))

    def _keep(self, batches: int, n: int) -> Tensor | None:
        """The MLP's dropout is drawn as the compiled engine draws it."""
        if not (self.is_mlp and self.dropout):
            return None
        factors = keep_factors(self._factors, batches, n, self.hiddens, self.dropout)
        return torch.from_numpy(factors).to(self.device)

    def predict(self, x: Images, task: int) -> Tensor:
        """Returns logits (n, classes per task) of images of a task, over its own outputs, on the device."""
        self.network.eval()
        with torch.no_grad():
            return self._forward(x)[:, slice(*self.task_stream.outputs(task))]

    def score(self, logits: Tensor, y: Labels) -> tuple[int, float]:
        """Returns the number of right answers and the summed cross-entropy of logits (n, classes)."""
        labels = torch.from_numpy(y).to(self.device)
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        return int((logits.argmax(1) == labels).sum()), float(loss)

    def module(self) -> Any:
        """Returns the network in evaluation mode."""
        return self.network.eval()

    def vector(self) -> NDArray[np.float32]:
        """Returns all parameters as one vector."""
        parts = [p.detach().cpu().numpy().ravel() for p in self.network.parameters()]
        return np.concatenate(parts)

    def state(self) -> dict[str, Any]:
        """Returns parameters, buffers and the dropout generator, between two epochs."""
        tensors = {name: value.cpu().numpy().copy() for name, value in self.network.state_dict().items()}
        return {"network": tensors, "dropout": adapter.generator_state(self._dropout)}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state["network"].items()})
        adapter.load_generator_state(self._dropout, state["dropout"])
