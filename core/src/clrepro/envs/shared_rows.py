"""The memory that the processes of a vector environment share; the kernel frees it with the last of them."""

import contextlib
import mmap
import os
import tempfile
from collections.abc import Callable
from multiprocessing import reduction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = dict[str, NDArray[Any]]
ANSWER = ("obs", "last", "reward", "terminated", "truncated")


class SharedRows:
    """What all processes see, one row per environment: actions and who moves, the answer, and `state`.

    state — twice the number of the last request that was begun in it, plus 1 while that is at work, and for
    good if it did not come to its end: then the environment is broken.  One number, so that an interrupt
    finds no moment between two.

    It has no name in the file system, so nothing is left of it, whatever ends the processes.
    """

    def __init__(self, n: int, obs_dim: int, act_dim: int, handle: int | None = None) -> None:
        fields: dict[str, tuple[tuple[int, ...], Any]] = {
            "action": ((n, act_dim), np.float32), "moves": ((n,), np.bool_), "state": ((n,), np.int64),
            "obs": ((n, obs_dim), np.float32), "last": ((n, obs_dim), np.float32),
            "reward": ((n,), np.float64),
            "terminated": ((n,), np.bool_), "truncated": ((n,), np.bool_),
        }  # fmt: skip
        sizes = [int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in fields.values()]
        starts = np.concatenate([[0], np.cumsum([-(-size // 64) * 64 for size in sizes])])
        self._shape = (n, obs_dim, act_dim)
        self._handle = _nameless(max(int(starts[-1]), 1)) if handle is None else handle
        memory = mmap.mmap(self._handle, 0)
        self.rows: Rows = {
            field: np.ndarray(shape, kind, memory, int(start))
            for (field, (shape, kind)), start in zip(fields.items(), starts[:-1], strict=True)
        }

    def __reduce__(self) -> tuple[Callable[..., "SharedRows"], tuple[Any, ...]]:
        """Goes to a process that is being started as a copy of the file's handle."""
        return _received, (*self._shape, reduction.DupFd(self._handle))

    def close(self) -> None:
        """Let go of the memory; may be called twice."""
        self.rows = {}
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never made
            self.close()


def _received(n: int, obs_dim: int, act_dim: int, copy: Any) -> SharedRows:
    return SharedRows(n, obs_dim, act_dim, copy.detach())


def _nameless(size: int) -> int:
    """Returns the handle of a new file of `size` zeros that no folder lists."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("clrepro-envs")
    else:  # not Linux
        handle, path = tempfile.mkstemp()
        os.unlink(path)
    os.ftruncate(handle, size)
    return handle
