"""Small leaky-ReLU networks as lists of tensors: the policies' multilayer perceptron and the two critics."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, leaky_relu

from rewire_repro.dense import dense, twins

SLOPE = 0.2
Actor = Callable[[Tensor], Tensor]  # observations (B, n_in) -> mean before tanh (B, n_actions)


def linear_init(n_out: int, n_in: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns (weight (n_out, n_in), bias (n_out,)), uniform within ± 1/√n_in, torch's own initial law."""
    bound = 1 / math.sqrt(n_in)
    weight = torch.empty(n_out, n_in, device=rng.device).uniform_(-bound, bound, generator=rng)
    return weight, torch.empty(n_out, device=rng.device).uniform_(-bound, bound, generator=rng)


def sizes(n_in: int, hidden: int, n_out: int) -> list[int]:
    """Returns the widths of a policy or critic: three hidden layers (spec 4)."""
    return [n_in, hidden, hidden, hidden, n_out]


class Net:
    """A perceptron in → h → h → h → out, leaky ReLU between.

    Args: weights — per layer (out, in); biases — per layer (out,); norm — (scale, shift), both (h,), of a
    layer norm with tanh after the first layer, in place of its leaky ReLU.
    """

    def __init__(
        self, weights: Sequence[Tensor], biases: Sequence[Tensor], norm: Sequence[Tensor] = ()
    ) -> None:
        self.weights, self.biases, self.norm = list(weights), list(biases), list(norm)

    @classmethod
    def make(cls, widths: Sequence[int], rng: torch.Generator, norm: bool = False) -> "Net":
        """Returns a network with fresh weights."""
        layers = [linear_init(n_out, n_in, rng) for n_in, n_out in pairwise(widths)]
        weights, biases = zip(*layers, strict=True)
        h = widths[1]
        scale = [torch.ones(h, device=rng.device), torch.zeros(h, device=rng.device)] if norm else []
        return cls(weights, biases, scale)

    def __call__(self, x: Tensor) -> Tensor:
        """Returns the outputs (B, out)."""
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if i == 0 and self.norm:
                x = normalised(dense(x, weight, bias), self.norm)
            else:
                x = dense(x, weight, bias, SLOPE if i < last else None)
        return x

    def tensors(self) -> list[Tensor]:
        """Returns every parameter: weights, biases, then those of the norm."""
        return [*self.weights, *self.biases, *self.norm]

    def rebuilt(self, tensors: Sequence[Tensor]) -> "Net":
        """Returns a network of this shape with other tensors, in the order of `tensors`."""
        n = len(self.weights)
        return Net(tensors[:n], tensors[n : 2 * n], tensors[2 * n :])

    def copy(self) -> "Net":
        """Returns the same function in storage of its own."""
        return self.rebuilt([one.detach().clone() for one in self.tensors()])

    def numel(self) -> int:
        """Returns the number of parameters."""
        return count(self.tensors())


class TwinCritics:
    """Two critics (o, a[, context]) → h → h → h → 1 in one batched product.

    Differs from the original: its two networks are separate; the numbers are the same, the calls are half.
    """

    def __init__(self, n_in: int, hidden: int, rng: torch.Generator, norm: bool = False) -> None:
        nets = [Net.make(sizes(n_in, hidden, 1), rng, norm) for _ in range(2)]
        pairs = zip(nets[0].weights, nets[1].weights, strict=True)
        self.weights = [torch.stack([one.T, two.T]).contiguous() for one, two in pairs]
        self.biases = [
            torch.stack([one, two])[:, None] for one, two in zip(*(n.biases for n in nets), strict=True)
        ]
        self.norm = [
            torch.stack([one, two])[:, None] for one, two in zip(*(n.norm for n in nets), strict=True)
        ]

    def __call__(self, x: Tensor, inputs_only: bool = False) -> Tensor:
        """Returns Q (2, B) of the inputs (B, n_in).

        Args: inputs_only — gradients will be asked for towards the inputs alone.
        """
        if not self.norm:
            return twins(x, self.weights, self.biases, SLOPE, inputs_only)[..., 0]
        y = normalised(torch.baddbmm(self.biases[0], x.expand(2, *x.shape), self.weights[0]), self.norm)
        for weight, bias in zip(self.weights[1:-1], self.biases[1:-1], strict=True):
            y = leaky_relu(torch.baddbmm(bias, y, weight), SLOPE)
        return torch.baddbmm(self.biases[-1], y, self.weights[-1])[..., 0]

    def tensors(self) -> list[Tensor]:
        """Returns every parameter."""
        return [*self.weights, *self.biases, *self.norm]

    def copy(self) -> "TwinCritics":
        """Returns the same two functions in storage of their own."""
        twin = object.__new__(TwinCritics)
        twin.weights = [one.detach().clone() for one in self.weights]
        twin.biases = [one.detach().clone() for one in self.biases]
        twin.norm = [one.detach().clone() for one in self.norm]
        return twin

    def state(self) -> dict[str, Any]:
        """Returns every parameter as numpy arrays, in the order of `tensors`."""
        return {"tensors": to_arrays(self.tensors())}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        load_arrays(self.tensors(), state["tensors"])


def rescaled(x: Tensor, norm: Sequence[Tensor]) -> Tensor:
    """Returns the layer norm of x (…, h); norm — (scale, shift)."""
    return layer_norm(x, x.shape[-1:]) * norm[0] + norm[1]


def normalised(x: Tensor, norm: Sequence[Tensor]) -> Tensor:
    """Returns what the original's "layer_norm: True" makes of a first layer's z: tanh of its layer norm."""
    return torch.tanh(rescaled(x, norm))


def count(tensors: Sequence[Tensor]) -> int:
    """Returns how many numbers the tensors hold."""
    return sum(one.numel() for one in tensors)


def to_arrays(tensors: Sequence[Tensor]) -> list[Any]:
    """Returns copies as numpy arrays, fit for a checkpoint."""
    return [one.detach().cpu().numpy().copy() for one in tensors]


def to_tensors(arrays: Sequence[Any], device: torch.device) -> list[Tensor]:
    """Returns copies of numpy arrays as tensors on the device."""
    return [torch.tensor(one, device=device) for one in arrays]


def load_arrays(tensors: Sequence[Tensor], arrays: Sequence[Any]) -> None:
    """Write numpy arrays of the same shapes into the tensors, in place.

    Raises: ValueError if there are more or fewer, or a shape differs.
    """
    for one, array in zip(tensors, arrays, strict=True):
        if tuple(one.shape) != tuple(array.shape):
            raise ValueError(f"an array {tuple(array.shape)} for a tensor {tuple(one.shape)}")
        one.data.copy_(torch.as_tensor(array))
