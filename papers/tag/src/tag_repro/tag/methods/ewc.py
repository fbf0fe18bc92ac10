"""Elastic weight consolidation: a pull towards the last task's weights, on each as much as it matters."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from tag_repro.inputs import scaled
from tag_repro.losses import task_loss
from tag_repro.networks.models import plain_layers
from tag_repro.tag.methods.naive import Naive

SAMPLES = 1024  # examples the Fisher information is estimated from
ONE_BATCH = 200
CHUNK_FLOATS = 1 << 24  # of gradients held at once
CLIP = 100.0  # norm of the penalty's gradient


class EWC(Naive):
    """loss + lambda sum_i F_i (w_i - w*_i)^2, w* the weights at the end of the last task.

    F adds up over tasks the mean of squared gradients of log p(y|x) on the task's own outputs
    (ewc_fisher "empirical"), or mixes squared gradients of one batch's mean loss as the published code does,
    F <- (F + t g^2) / (t + 1) ("original"), there with the next task's outputs ("original-wrong-mask").
    Source: Kirkpatrick et al. 2017; spec 5.2.
    """

    def __init__(self, *args: Any, lambd: float = 1.0, ewc_fisher: str = "empirical", **more: Any) -> None:
        super().__init__(*args, **more)
        self.lambd, self.ewc_fisher = lambd, ewc_fisher
        self.fisher: list[Tensor] = []
        self.anchor: list[Tensor] = []

    def gradients(self, x: Tensor, y: Tensor, task: int) -> float:
        """Fill the gradients for a batch of a task, the penalty's clipped and added; returns its loss."""
        loss = super().gradients(x, y, task)
        if self.anchor:
            pull = self.penalty_gradients()
            norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in pull]))
            scale = min(1.0, CLIP / (float(norm) + 1e-6))
            for p, g in zip(self.parameters, pull, strict=True):
                p.grad = g * scale if p.grad is None else p.grad.add_(g, alpha=scale)
        return loss

    def penalty_gradients(self) -> list[Tensor]:
        """Returns 2 lambda F (w - w*) of every parameter."""
        parts = zip(self.parameters, self.fisher, self.anchor, strict=True)
        return [2 * self.lambd * f * (p.detach() - a) for p, f, a in parts]

    def end_task(self, task: int) -> None:
        """Estimate the Fisher information on the task that is over, and move the anchor here."""
        super().end_task(task)
        device = self.parameters[0].device
        x, y = (torch.from_numpy(each).to(device) for each in self.task_stream.training(task))
        self.consolidate(x, y, task)

    def consolidate(self, x: Tensor, y: Tensor, task: int) -> None:
        """Add the Fisher information on images x uint8 (n, inputs) of a task to that of earlier ones; the
        anchor is where the weights are now.
        """
        original = self.ewc_fisher != "empirical"
        most = ONE_BATCH if original else SAMPLES
        indices = torch.from_numpy(self.rng.permutation(len(y))[:most]).to(y.device)
        training = self.network.training
        self.network.eval()
        images = scaled(x[indices], self.task_stream)
        found = (self._squares if original else self._each)(images, y[indices], task)
        self.network.train(training)
        old = self.fisher or [torch.zeros_like(p) for p in self.parameters]
        t = task + 1
        if original:
            self.fisher = [(f + t * g) / (t + 1) for f, g in zip(old, found, strict=True)]
        else:
            self.fisher = [f + g for f, g in zip(old, found, strict=True)]
        self.anchor = [p.detach().clone() for p in self.parameters]

    def _squares(self, x: Tensor, y: Tensor, task: int) -> list[Tensor]:
        """Squared gradients of a batch's mean loss."""
        logits = self.network(x)
        if self.ewc_fisher == "original":
            loss = task_loss(logits, y, self.task_stream.outputs(task))
        else:
            loss = _wrongly_masked(logits, y, (task + 1) * self.task_stream.classes_per_task)
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        return [
            torch.zeros_like(p) if g is None else g**2 for p, g in zip(self.parameters, found, strict=True)
        ]

    def _each(self, x: Tensor, y: Tensor, task: int) -> list[Tensor]:
        """Mean over examples of their squared gradients."""
        low, high = self.task_stream.outputs(task)
        values = {name: p.detach() for name, p in self.network.named_parameters()}
        fixed = dict(self.network.named_buffers())

        def loss(values: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
            logits = functional_call(self.network, (values, fixed), (one[None],))
            return functional.cross_entropy(logits[:, low:high], label[None] - low)

        each = vmap(grad(loss), in_dims=(None, 0, 0))
        total = {name: torch.zeros_like(value) for name, value in values.items()}
        rows = max(1, CHUNK_FLOATS // sum(value.numel() for value in values.values()))
        with plain_layers(self.network):
            for start in range(0, len(y), rows):
                part = slice(start, start + rows)
                for name, gradients in each(values, x[part], y[part]).items():
                    total[name] += gradients.square().sum(0)
        return [total[name] / len(y) for name, p in self.network.named_parameters() if p.requires_grad]

    def memory_state(self) -> dict[str, Any]:
        """Returns Fisher information and anchor."""
        return {name: [t.cpu().numpy() for t in getattr(self, name)] for name in ("fisher", "anchor")}

    def load_memory(self, state: dict[str, Any]) -> None:
        """Continue from what `memory_state` returned."""
        for name in ("fisher", "anchor"):
            parts = zip(state[name], self.parameters, strict=False)
            setattr(self, name, [torch.from_numpy(np.array(a)).to(p.device) for a, p in parts])


def _wrongly_masked(logits: Tensor, y: Tensor, low: int) -> Tensor:
    """The published loss on a Fisher batch: all outputs before `low` count as -1e11, the label's among them,
    while gradients flow as if nothing had been replaced.
    """
    replaced = logits.detach().clone()
    replaced[:, :low] = -1e11
    return functional.cross_entropy(logits + (replaced - logits).detach(), y)
