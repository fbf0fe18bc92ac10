"""Arrays between torch and JAX by DLPack, without a detour over the host."""

from typing import Any

import torch
import torch.utils.dlpack
from torch import Tensor


def to_torch(array: Any, device: torch.device) -> Tensor:
    """Returns a JAX array as a tensor with storage of its own.

    A shared one would change the environment's state when the tensor is written to, and the other way round.
    """
    import jax

    array = jax.block_until_ready(array)
    if _same_side(array, device):
        return torch.utils.dlpack.from_dlpack(array).clone()
    import numpy as np

    return torch.from_numpy(np.array(array)).to(device)


def to_jax(tensor: Tensor, device: Any) -> Any:
    """Returns a tensor as a JAX array on the device, sharing its storage where both are on one side."""
    import jax

    if (tensor.device.type == "cuda") == (device.platform == "gpu"):
        return jax.dlpack.from_dlpack(tensor.detach().contiguous())
    return jax.device_put(tensor.detach().cpu().numpy(), device)


def _same_side(array: Any, device: torch.device) -> bool:
    platform = next(iter(array.devices())).platform
    return bool((platform == "gpu") == (device.type == "cuda"))
