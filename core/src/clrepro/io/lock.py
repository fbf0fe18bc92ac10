"""Lock files that the kernel frees when their process ends, however it ends.

Not the package filelock (tried: 4.3.1): its kernel lock cannot be shared, which the parts of a Slurm array
need, and takes a file of any content for a lock file; its shared lock for network file systems is still held
after its holder was killed, until a heartbeat is missed.  None of its errors names the process that holds it.
"""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from clrepro.errors import BusyError, DataError

_NUMBER = re.compile(rb"\d*\n?")  # what a lock file holds: the process that has it


@contextlib.contextmanager
def hold_lock(path: Path, *, shared: bool = False, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` for the length of a `with` block; the kernel frees it when the process dies.

    Args: shared — hold it beside other sharers, against those who want it alone; patience_s — how long to
        wait for the present holder.
    Raises: BusyError naming the process that holds it; DataError if the file cannot be made.
    """
    handle = _patiently_locked(path, shared, patience_s)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _patiently_locked(path: Path, shared: bool, patience_s: float) -> int:
    """As `_locked`, asking again until `patience_s` seconds are over."""
    give_up = time.monotonic() + patience_s
    while True:
        try:
            return _locked(path, shared)
        except BusyError:
            if time.monotonic() >= give_up:
                raise
            time.sleep(0.1)


def _locked(path: Path, shared: bool) -> int:
    """An open, locked handle of the file `path`."""
    while True:
        try:
            # Not through a link: the holder's number is written into the file.
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError as problem:
            raise DataError(f"{path}: cannot be opened as a lock file ({problem.strerror})") from None
        if not _NUMBER.fullmatch(os.pread(handle, 32, 0)):
            os.close(handle)
            raise DataError(f"{path}: is no lock file of this program; move it away or choose another place")
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise BusyError(f"{path.parent} is in use by process {holder}; wait for it or stop it") from None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)  # the holder before us removed the folder with its lock file: try the new one
