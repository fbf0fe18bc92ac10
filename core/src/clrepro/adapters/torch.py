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


def optimizer_state(optimizer: "torch.optim.Optimizer") -> dict[str, Any]:
    """Returns an optimizer's state as arrays, numbers and lists that a checkpoint can hold."""
    held = optimizer.state_dict()
    state = {str(k): {key: _to_plain(value) for key, value in v.items()} for k, v in held["state"].items()}
    groups = [{key: _to_plain(value) for key, value in group.items()} for group in held["param_groups"]]
    return {"state": state, "groups": groups}


def load_optimizer_state(optimizer: "torch.optim.Optimizer", state: dict[str, Any]) -> None:
    """Put an optimizer of the same kind and parameters back where `optimizer_state` found it."""
    own = optimizer.state_dict()["param_groups"]
    groups = [
        {key: _from_plain(value, like.get(key)) for key, value in group.items()}
        for group, like in zip(state["groups"], own, strict=True)
    ]
    entries = {
        int(k): {key: _from_plain(value, None) for key, value in v.items()} for k, v in state["state"].items()
    }
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def _to_plain(value: Any) -> Any:
    if hasattr(value, "detach"):
        return np.asarray(value.detach().cpu().numpy()).copy()
    return list(value) if isinstance(value, tuple) else value


def _from_plain(value: Any, like: Any) -> Any:
    if isinstance(value, np.ndarray):
        import torch

        return torch.from_numpy(np.array(value))
    return tuple(value) if isinstance(like, tuple) else value


def use_one_thread() -> None:
    """Let torch compute on one thread: small matrices are faster so, and sums do not depend on the core
    count.
    """
    import torch

    torch.set_num_threads(1)


def pick_device(name: str, flag: str = "") -> "torch.device":
    """Returns the device called e.g. "cpu" or "cuda:1".

    Args: flag — how the user asked for it, for messages; default --device NAME.
    Raises: UsageError for a name that torch does not know, and for a device that is not there.
    """
    import torch

    flag = flag or f"--device {name}"
    try:
        found = torch.device(name)
    except RuntimeError:
        raise UsageError(f"{flag}: not a device that torch knows, e.g. cpu or cuda") from None
    if found.type == "cuda" and (found.index or 0) < torch.cuda.device_count():
        return found
    if found.type != "cpu":
        raise UsageError(f"{flag}: torch finds no usable GPU here; leave the flag out to run on the CPU")
    return found


def to_numpy(value: Any, dtype: Any) -> NDArray[Any]:
    """Returns a tensor (any device) or array-like as a contiguous numpy array of the given dtype."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.ascontiguousarray(value, dtype)
