"""The eigenvalues of largest size of a network's loss, for the flatness of minima (spec section 6)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tag_repro.hessian import compute_hessian_eigenthings

CHUNK = 2000  # images per pass


def top_eigenpairs(
    network: Any,
    x: NDArray[np.uint8],
    y: NDArray[np.int64],
    outputs: tuple[int, int],
    k: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Returns the k eigenvalues of largest size, float64 (k,), and their unit vectors float32 (k, P).

    Args: network — a torch module on images in [0, 1]; x — uint8 (n, inputs); outputs — (low, high), those
        that take part; seed — of the start vectors.
    """
    images = torch.from_numpy(np.asarray(x / np.float32(255), np.float32))
    if not hasattr(network, "first"):
        images = images.reshape(-1, 3, 32, 32)
    device = next(network.parameters()).device
    values, vectors = compute_hessian_eigenthings(
        network, [(images, torch.from_numpy(y - outputs[0]))], functional.cross_entropy, k,
        use_gpu=device.type == "cuda", max_samples=CHUNK, seed=seed,
        forward_fn=lambda model, part: model(part)[:, slice(*outputs)],
    )  # fmt: skip
    return values, vectors
