"""The network, Linear-ReLU-Linear-ReLU-Linear with 10 outputs, for class_split too.  Source: spec 3.1."""

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

N_CLASSES = 10
Vector = NDArray[np.float32]
Layers = list[tuple[Vector, Vector]]


def initial_layers(rng: np.random.Generator, *, input_dim: int, hidden_dim: int) -> Layers:
    """Returns [(weight (fan_in, fan_out), bias (fan_out,))], uniform in ±1/√fan_in."""
    layers = []
    for n_in, n_out in itertools.pairwise((input_dim, hidden_dim, hidden_dim, N_CLASSES)):
        bound = 1 / np.sqrt(n_in)
        weight, bias = rng.uniform(-bound, bound, (n_in, n_out)), rng.uniform(-bound, bound, n_out)
        layers.append((weight.astype(np.float32), bias.astype(np.float32)))
    return layers


def network(layers: Layers) -> "nn.Sequential":
    """Returns the torch module with the given weights (fan_in, fan_out) and biases."""
    import torch
    from torch import nn

    parts: list[nn.Module] = []
    for weight, bias in layers:
        linear = nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias))
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])
