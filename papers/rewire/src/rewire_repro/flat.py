"""Adam on one flat vector: all trainable tensors of a module become views of it, so a step is a single
call.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clrepro.adapters.torch import load_optimizer_state, optimizer_state


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Move the storage of all tensors into one vector and return it; each tensor becomes a view of its
    part.
    """
    flat = torch.cat([one.detach().reshape(-1) for one in tensors])
    at = 0
    for one in tensors:
        one.data = flat[at : at + one.numel()].view(one.shape)
        at += one.numel()
    return flat


class FlatAdam:
    """Adam for `tensors`, whose storage moves into one vector.

    Args: lr — step size; clip — largest norm of the gradient, 0 for none; free — per tensor, bool of its
    shape: entries that may move; the others keep their value whatever the optimiser's momentum says.
    """

    def __init__(
        self, tensors: Sequence[Tensor], lr: float, clip: float = 0.0, free: Sequence[Tensor] | None = None
    ) -> None:
        self.tensors = list(tensors)
        self.flat = torch.nn.Parameter(flatten(self.tensors))
        for one in self.tensors:
            one.requires_grad_(True)
        self.clip = clip
        self.free = None if free is None else torch.cat([one.reshape(-1) for one in free])
        self.held = self.flat.detach().clone() if free is not None else None
        self.optimizer = torch.optim.Adam([self.flat], lr=lr, fused=True)

    def gradients(self, loss: Tensor) -> Tensor:
        """Returns the loss's gradient, flat; zero where it does not depend on a tensor."""
        parts = torch.autograd.grad(loss, self.tensors, allow_unused=True)
        pairs = zip(parts, self.tensors, strict=True)
        return torch.cat([torch.zeros_like(t).reshape(-1) if g is None else g.reshape(-1) for g, t in pairs])

    def step(self, gradient: Tensor) -> None:
        """Move all tensors by one step of Adam."""
        if self.free is not None:
            gradient = gradient * self.free
        if self.clip > 0:
            gradient = gradient * (self.clip / (gradient.norm() + 1e-6)).clamp(max=1.0)
        self.flat.grad = gradient
        self.optimizer.step()
        if self.free is not None and self.held is not None:
            self.flat.data.copy_(torch.where(self.free, self.flat.data, self.held))

    def minimise(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`."""
        self.step(self.gradients(loss))

    def release(self) -> None:
        """Let the tensors go: storage of their own, no gradient."""
        for one in self.tensors:
            one.requires_grad_(False)
            one.data = one.data.clone()

    def state(self) -> dict[str, Any]:
        """Returns Adam's moments and step count; the tensors themselves are their owner's."""
        return {"optimizer": optimizer_state(self.optimizer)}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        load_optimizer_state(self.optimizer, state["optimizer"])
