"""The eigenvalues of largest size of a network's loss, for the flatness of minima (spec section 6)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tag_repro.hessian import compute_hessian_eigenthings
from tag_repro.inputs import scaled
from tag_repro.networks.models import plain_layers
from tag_repro.task_stream import TaskStream

CHUNK = 2000  # images per pass


def top_eigenpairs(
    network: Any, task_stream: TaskStream, number: int, k: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Returns the k eigenvalues of largest size, float64 (k,), and their unit vectors float32 (k, P), of the
    loss on a task's test images, by the Lanczos method.

    Args: network — a torch module; number — the task; seed — of the start vectors.
    """
    (x, y), outputs = task_stream.test(number), task_stream.outputs(number)
    device = next(network.parameters()).device
    images = scaled(torch.from_numpy(x).to(device), task_stream)
    labels = torch.from_numpy(task_stream.numbered(number, y) - outputs[0]).to(device)
    with plain_layers(network):
        values, vectors = compute_hessian_eigenthings(
            network, [(images, labels)], functional.cross_entropy, k,
            use_gpu=device.type == "cuda", max_samples=CHUNK, seed=seed,
            forward_fn=lambda model, part: model(part)[:, slice(*outputs)],
        )  # fmt: skip
    return values, vectors.astype(np.float32)
