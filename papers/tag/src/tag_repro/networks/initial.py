"""Initial weights of the MLP, drawn by numpy so that every engine starts from the same ones."""

import itertools

import numpy as np
from numpy.typing import NDArray

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def mlp_layers(inputs: int, hidden: int, outputs: int, rng: np.random.Generator) -> Layers:
    """Returns [(weight (fan_in, fan_out), bias (fan_out,))], uniform in ±1/√fan_in: torch's default law."""
    layers = []
    for n_in, n_out in itertools.pairwise((inputs, hidden, hidden, outputs)):
        bound = 1 / np.sqrt(n_in)
        weight, bias = rng.uniform(-bound, bound, (n_in, n_out)), rng.uniform(-bound, bound, n_out)
        layers.append((weight.astype(np.float32), bias.astype(np.float32)))
    return layers


def keep_factors(
    rng: np.random.Generator, batches: int, n: int, hidden: int, dropout: float
) -> NDArray[np.float32]:
    """Returns float32 (batches, 2, n, hidden): 0 with probability dropout, else 1 / (1 - dropout)."""
    kept = rng.random((batches, 2, n, hidden), np.float32) >= np.float32(dropout)
    return np.asarray(kept / np.float32(1 - dropout), np.float32)
