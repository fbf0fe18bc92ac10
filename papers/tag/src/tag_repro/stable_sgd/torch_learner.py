"""The torch learner of Stable SGD: the reference for the MLP, and the only one for CIFAR-100 and GPUs."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from clrepro.adapters import torch as adapter
from clrepro.seeding import Seeds
from tag_repro.inputs import scaled
from tag_repro.networks.initial import keep_factors, mlp_layers
from tag_repro.networks.make import resnet_s
from tag_repro.networks.models import MLP, Dropout
from tag_repro.settings import StableSettings
from tag_repro.stable_sgd.batches import IMAGE_TEST_BATCH, TEST_BATCH, Images, Labels, batches_of
from tag_repro.task_stream import TaskStream


class TorchLearner:
    """An MLP or a ResNet-S with torch's SGD, made anew in every epoch."""

    def __init__(self, settings: StableSettings, task_stream: TaskStream, seeds: Seeds) -> None:
        self.settings, self.device = settings, adapter.pick_device(settings.device)
        self._factors = seeds.generator("dropout")
        self._dropout = torch.Generator(self.device).manual_seed(seeds.integer("dropout"))
        inputs = task_stream.stream.n_inputs
        self.is_mlp, self.task_stream = task_stream.shape is None, task_stream
        if task_stream.shape is None:
            self.network: torch.nn.Module = MLP(inputs, settings.hiddens, task_stream.n_outputs)
            parts = mlp_layers(inputs, settings.hiddens, task_stream.n_outputs, seeds.generator("init"))
            with torch.no_grad():
                for p, value in zip(
                    self.network.parameters(), [a for layer in parts for a in layer], strict=True
                ):
                    p.copy_(torch.from_numpy(value.T.copy()))
        else:
            with adapter.drawing_from(seeds.integer("init")):
                dropout = Dropout(settings.dropout, self._dropout)
                self.network = resnet_s(settings, task_stream.n_outputs, dropout, task_stream.shape[-1])
        self.network.to(self.device)

    def epoch(self, x: Images, y: Labels, order: Labels, rate: float, outputs: tuple[int, int]) -> float:
        """Train on all images in the given order, momentum from zero; returns the mean loss."""
        optimizer = torch.optim.SGD(self.network.parameters(), rate, momentum=self.settings.momentum)
        self.network.train()
        labels, total = torch.from_numpy(y - outputs[0]).to(self.device), 0.0
        for stretch in batches_of(order, self.settings.batch_size):
            factors = self._keep(*stretch.shape)
            for number, indices in enumerate(stretch):
                keep = None if factors is None else factors[number]
                logits = self._forward(x[indices], keep)[:, slice(*outputs)]
                loss = functional.cross_entropy(logits, labels[torch.from_numpy(indices)])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += loss.item() * len(indices)
        return total / len(order)

    def _forward(self, x: Images, keep: torch.Tensor | None = None) -> torch.Tensor:
        images = scaled(torch.from_numpy(x).to(self.device), self.task_stream)
        return torch.as_tensor(self.network(images, keep) if self.is_mlp else self.network(images))

    def _keep(self, batches: int, n: int) -> torch.Tensor | None:
        """The MLP's dropout is drawn as the compiled engine draws it."""
        if not (self.is_mlp and self.settings.dropout):
            return None
        hidden = self.settings.hiddens
        factors = keep_factors(self._factors, batches, n, hidden, self.settings.dropout)
        return torch.from_numpy(factors).to(self.device)

    def evaluate(self, x: Images, y: Labels, outputs: tuple[int, int]) -> tuple[float, float]:
        """Returns accuracy as a fraction, and the mean cross-entropy per image."""
        self.network.eval()
        right, loss, size = 0, 0.0, TEST_BATCH if self.is_mlp else IMAGE_TEST_BATCH
        with torch.no_grad():
            for start in range(0, len(y), size):
                part = slice(start, start + size)
                labels = torch.from_numpy(y[part] - outputs[0]).to(self.device)
                logits = self._forward(x[part])[:, slice(*outputs)]
                right += int((logits.argmax(1) == labels).sum())
                loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
        return right / len(y), loss / len(y)

    def module(self) -> Any:
        """Returns the network in evaluation mode."""
        return self.network.eval()

    def vector(self) -> NDArray[np.float32]:
        """Returns all parameters as one vector."""
        parts = [p.detach().cpu().numpy().ravel() for p in self.network.parameters()]
        return np.concatenate(parts)

    def state(self) -> dict[str, Any]:
        """Returns parameters, buffers and the dropout generator."""
        tensors = {name: value.cpu().numpy().copy() for name, value in self.network.state_dict().items()}
        return {"network": tensors, "dropout": adapter.generator_state(self._dropout)}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state["network"].items()})
        adapter.load_generator_state(self._dropout, state["dropout"])
