"""PyTorch: explicit generators and their state, one-thread arithmetic, devices, arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import UsageError

if TYPE_CHECKING:
    import torch


def generator(seed: int) -> "torch.Generator":
    """Returns a CPU generator that yields what torch's global one yields after `torch.manual_seed(seed)`."""
    import torch

    return torch.Generator().manual_seed(seed)


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Inside a `with` block torch's global generator, which layers draw their weights from, starts at seed;
    afterwards it is where it was.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def generator_state(source: "torch.Generator") -> NDArray[np.uint8]:
    """Returns the generator's state as bytes (n,)."""
    return np.asarray(source.get_state().numpy(), np.uint8).copy()


def load_generator_state(target: "torch.Generator", state: NDArray[np.uint8]) -> None:
    """Put a generator back where `generator_state` found it."""
    import torch

    target.set_state(torch.from_numpy(np.array(state, np.uint8)))


def use_one_thread() -> None:
    """Let torch compute on one thread: small matrices are faster so, and sums do not depend on the core
    count.
    """
    import torch

    torch.set_num_threads(1)


def pick_device(cuda: bool) -> "torch.device":
    """Returns the GPU if asked for, else the CPU.

    Raises: UsageError if a GPU is asked for and torch finds none.
    """
    import torch

    if not cuda:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError("--cuda yes: torch finds no usable GPU here; leave the flag out to run on the CPU")
    return torch.device("cuda")


def to_numpy(value: Any, dtype: Any) -> NDArray[Any]:
    """Returns a tensor (any device) or array-like as a contiguous numpy array of the given dtype."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.ascontiguousarray(value, dtype)
