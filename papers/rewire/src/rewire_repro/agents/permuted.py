"""The parts of a rewired network: what is told to it, its layers before and after their permutation."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from clrepro.errors import UsageError
from rewire_repro.agents.agent import PolicyValues
from rewire_repro.alignment import Layer
from rewire_repro.dense import dense
from rewire_repro.gaussian import split
from rewire_repro.networks import SLOPE, Net, rescaled

MU_CLIP = 20.0  # of the second mode's mean, in the divergence


@dataclass(frozen=True)
class RewireValues(PolicyValues):
    """Configuration keys; the contract's section 4.8 says what each does."""

    tau: float = 1.0
    beta: float = 0.1
    tau2: float = 0.1
    beta2: float = 0.0
    k: int = 3
    cycle: int = -1
    divergence: float = 1e-5
    divergence_batch: int = 256
    coeff: float = 1.0
    align: bool = True
    rewire_last: bool | str = "expand"

    def check(self, where: str) -> None:
        """Raises: UsageError for values that mean nothing."""
        head = self.rewire_last in ("expand", True, False)
        if not head or self.tau <= 0 or self.tau2 <= 0 or not (self.cycle > 0 or self.cycle == -1):
            raise UsageError(
                f"{where}: rewire_last is expand, True or False; tau and tau2 above 0; cycle 1 or more, or -1"
            )


def before(layer: Layer, x: Tensor) -> Tensor:
    """Returns z = W x + b (B, n), layer-normed where the layer has a norm: what is permuted."""
    weight, bias, *norm = layer
    z = dense(x, weight, bias)
    return rescaled(z, norm) if norm else z


def after(layer: Layer, y: Tensor) -> Tensor:
    """Returns the activations of permuted outputs y (B, n): leaky ReLU, or tanh after a layer norm."""
    return leaky_relu(y, SLOPE) if len(layer) == 2 else torch.tanh(y)


def folded(layers: Sequence[Layer], head: tuple[Tensor, Tensor], orders: Sequence[Tensor]) -> Net:
    """Returns the plain network that permutations make: rows of weights and biases in their order."""
    rows = [[one.detach()[order] for one in layer] for layer, order in zip(layers, orders, strict=True)]
    weights, biases = zip(*(row[:2] for row in rows), head, strict=True)
    return Net(weights, biases, rows[0][2:])


def divergence(outputs: Tensor, other: Tensor) -> Tensor:
    """Returns the mean of (mu - mu')² + (log sigma - log sigma')² over two modes' outputs, (B, 2A) each."""
    (mu, log_sigma), (mu_2, log_sigma_2) = split(outputs), split(other)
    squares = (mu - mu_2.clamp(-MU_CLIP, MU_CLIP)).square() + (log_sigma - log_sigma_2).square()
    return squares.mean()
