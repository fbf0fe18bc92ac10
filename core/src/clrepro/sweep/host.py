"""The process that does the work: what a run cost, which software made it, its output, its parent."""

import contextlib
import ctypes
import functools
import importlib.metadata
import os
import platform
import resource
import signal
import sys
import time
from pathlib import Path

from clrepro.errors import DataError
from clrepro.io.terminal_text import visible

_REPORTED_VERSIONS = ("cl-repro", "numpy", "scipy", "numba", "torch", "tensorflow", "jax", "gymnasium")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number, and the kind of machine."""
    return dict(_versions())


@functools.cache  # 20 ms to read, and they do not change while we run
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _REPORTED_VERSIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


class Meter:
    """Wall seconds, processor seconds (with children) and peak memory from its making to `cost()`."""

    def __init__(self) -> None:
        # Writing 5 resets the kernel's high-water mark, else a worker's earlier job would set the peak.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._wall, self._cpu = time.perf_counter(), self._cpu_seconds()

    def cost(self) -> dict[str, float]:
        """{"wall_s", "cpu_s", "peak_rss_mb"} since this object was made."""
        wall, cpu = time.perf_counter() - self._wall, self._cpu_seconds() - self._cpu
        return {"wall_s": round(wall, 4), "cpu_s": round(cpu, 4), "peak_rss_mb": round(self._peak_mb(), 1)}

    @staticmethod
    def _cpu_seconds() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    @staticmethod
    def _peak_mb() -> float:
        with contextlib.suppress(OSError, ValueError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return float(line.split()[1]) / 1024
        scale = 2**20 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in kB on Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it ends (Linux; elsewhere nothing)."""
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # 1 = PR_SET_PDEATHSIG


def show(text: str) -> None:
    """Print `text` on standard output, at once.

    Raises: DataError if it cannot be written (disk full); BrokenPipeError as it is, when the reader has gone.
    """
    try:
        print(visible(text, keep="\n\t"), flush=True)
    except BrokenPipeError:
        raise
    except OSError as problem:
        # What is left in the buffer would fail again when Python ends, with a second message and code 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise DataError(
            f"standard output: cannot be written ({problem.strerror}); files finished before are kept"
        ) from None


def say(line: str) -> None:
    """Print `line` for the user on stderr."""
    print(visible(line, keep="\n"), file=sys.stderr, flush=True)
