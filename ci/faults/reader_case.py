"""What is put to the test: one reader of files, a valid file for it, and what a flipped bit in it means."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.errors import BusyError, DataError, UsageError

# What a file of other content, which its reader takes for a good one, means:
CHECKSUM = "checksum"  # a loss: the file holds its own checksum, so every change must be noticed
EVIDENCE = "checksums"  # the user's data in a format without checksum: its sha256 goes into the run's record
AUTHORED = "authored"  # written by hand: another text is another statement of its author


ERRORS = (DataError, UsageError, BusyError)


@dataclasses.dataclass(frozen=True)
class Subject:
    """A reader.

    Attributes: make — writes a valid file, with what belongs to it, into an empty folder and returns its
    path; read — the reader; errors — what it may raise; pack — puts a payload where the format holds a part
    of another format (a pickle in an archive, ...): (folder, payload) to path; opened — a valid file's
    content without its checksum; sealed — content with its checksum, where the reader asks for one.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    guard: str
    errors: tuple[type[BaseException], ...]
    pack: Callable[[Path, bytes], Path] | None = None
    opened: Callable[[bytes], bytes] = bytes
    sealed: Callable[[bytes], bytes] = bytes


def write(path: Path, data: bytes | str) -> Path:
    """Write a file of a subject.  Returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def digest(value: Any) -> str:
    """Sha256 over what a reader returned; equal for equal content."""
    state = hashlib.sha256()
    _feed(value, state.update)
    return state.hexdigest()


def _feed(value: Any, take: Callable[[bytes], None]) -> None:
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        take(f"{value.dtype}{value.shape}".encode())
        take(np.ascontiguousarray(value).tobytes())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            _feed(getattr(value, one.name), take)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            take(repr(key).encode("utf-8", "surrogatepass"))
            _feed(part, take)
    elif isinstance(value, list | tuple):
        take(f"[{len(value)}".encode())
        for part in value:
            _feed(part, take)
    else:
        take(repr(value).encode("utf-8", "surrogatepass"))
