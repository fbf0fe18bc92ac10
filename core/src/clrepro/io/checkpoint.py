"""The folder of one run: atomic files, a lock that dies with its process, checkpoints that survive a crash.

A checkpoint is one file: a header line with the sha256 of the rest, then an NPZ archive with the arrays and a
JSON text for everything else.  Nothing is pickled.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io.atomic import (
    make_folder,
    remove_temporaries,
    sync_folder,
    write_atomically,
    write_temporary,
)
from clrepro.io.lock import hold_lock
from clrepro.io.paths import exists
from clrepro.io.regular_files import read_regular_file
from clrepro.io.strict_json import parse_json_object

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 36  # of one file that a run goes on from
_MAGIC = b"clrepro-state 1 "
_HEADER_BYTES = len(_MAGIC) + 64 + 1  # magic, sha256 in hex, newline
_ARRAY, _SCALAR = "__array__", "__scalar__"


class RunDir:
    """A folder that one process at a time works in; made with its parents.  Raises: DataError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        make_folder(path)

    def atomic_write_bytes(self, name: str, data: bytes) -> Path:
        """Replace the file `name` in this folder by `data`.  Returns its path.  Raises: DataError."""
        write_atomically(self.path / name, data)
        return self.path / name

    def atomic_write_text(self, name: str, text: str) -> Path:
        """Replace the file `name` in this folder by `text` (UTF-8).  Returns its path.  Raises: DataError."""
        return self.atomic_write_bytes(name, text.encode("utf-8"))

    def atomic_write_json(self, name: str, value: object) -> Path:
        """Replace the file `name` by `value` as sorted JSON without nan.  Returns its path."""
        return self.atomic_write_text(
            name, json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n"
        )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold this folder for the length of a `with` block; clears what a killed holder left half written.

        Raises: BusyError naming the process that holds it (maybe this one); DataError if no lock can be made.
        """
        with hold_lock(self.path / ".lock"):
            remove_temporaries(self.path, top_only=True)
            yield

    def save_state(self, name: str, state: dict[str, Any]) -> Path:
        """Write the checkpoint `name` and keep the one before it as `<name>.state.prev`.

        Args: state — nested dicts (text keys) and lists of arrays, numpy scalars, int, float, str, bool.
        Raises: TypeError for anything else; DataError if it cannot be written (the old one then stays).
        """
        path = self._state_path(name)
        temporary = write_temporary(path, encode_state(state))
        try:
            if exists(path):
                os.replace(path, _previous(path))
            os.replace(temporary, path)
            sync_folder(path.parent)
        except OSError as problem:
            temporary.unlink(missing_ok=True)
            raise DataError(f"{path}: cannot be written ({problem.strerror})") from None
        return path

    def load_state(self, name: str) -> dict[str, Any] | None:
        """The newest good checkpoint `name`, or None if there never was one.

        A corrupt newest file is set aside as `<name>.state.bad` with a warning and the previous one is used.
        Raises: DataError if neither is good.
        """
        path, problems = self._state_path(name), []
        for candidate in (path, _previous(path)):
            if not exists(candidate):
                continue
            try:
                state = decode_state(_read(candidate), str(candidate))
            except DataError as problem:
                problems.append(str(problem))
                continue
            if problems:
                log.warning("%s; going on from the checkpoint before it", problems[0])
                # Else the next save would move the corrupt file over the only good one.
                with contextlib.suppress(OSError):
                    os.replace(path, path.with_name(path.name + ".bad"))
            return state
        if problems:
            raise DataError(
                f"{problems[0]}; no earlier checkpoint is good, remove {self.path} to start afresh"
            )
        return None

    def remove_state(self, name: str) -> None:
        """Remove the checkpoint `name` and the one before it, if there."""
        for path in (self._state_path(name), _previous(self._state_path(name))):
            path.unlink(missing_ok=True)

    def discard(self, name: str, *others: str) -> None:
        """Remove the checkpoint `name`, the files `others` that the caller wrote, the lock and left-over
        temporaries, then the folder if it is empty: a user's own files in it stay.  Call it under the lock.
        """
        self.remove_state(name)
        remove_temporaries(self.path, top_only=True)
        for own in (*others, f"{name}.state.bad", ".lock"):
            (self.path / own).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def mark_done(self, summary: dict[str, Any]) -> None:
        """Write `done.json`; from then on `done()` returns `summary`."""
        self.atomic_write_json("done.json", summary)

    def done(self) -> dict[str, Any] | None:
        """What `mark_done` stored, or None if the run has not finished (a corrupt marker counts as that)."""
        path = self.path / "done.json"
        try:
            return parse_json_object(_read(path).decode("utf-8"), str(path)) if exists(path) else None
        except (DataError, UnicodeDecodeError):
            log.warning("%s is not valid JSON; taking the run as unfinished", path)
            return None

    def _state_path(self, name: str) -> Path:
        return self.path / f"{name}.state"


def encode_state(state: dict[str, Any]) -> bytes:
    """The checkpoint file for `state`.  Raises: TypeError naming the place of a value that it cannot hold."""
    arrays: list[NDArray[Any]] = []
    tree = json.dumps(_strip(state, arrays, "state"))
    parts = {f"a{i}": array for i, array in enumerate(arrays)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, tree=np.frombuffer(tree.encode("utf-8"), np.uint8), **parts)
    body = buffer.getvalue()
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode_state(data: bytes, where: str) -> dict[str, Any]:
    """The state in the checkpoint file `data`.  Raises: DataError naming `where`."""
    header, body = data[:_HEADER_BYTES], data[_HEADER_BYTES:]
    if not header.startswith(_MAGIC):
        raise DataError(f"{where}: not a checkpoint of this program")
    if header != _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise DataError(f"{where}: the checkpoint is corrupt (its sha256 does not match)")
    try:
        if any(
            member.compress_type != zipfile.ZIP_STORED
            for member in zipfile.ZipFile(io.BytesIO(body)).filelist
        ):
            raise ValueError("compressed member")  # we never compress: refuse what could unpack without bound
        with np.load(io.BytesIO(body), allow_pickle=False) as archive:
            tree = json.loads(archive["tree"].tobytes())
            state = _dress(tree, {name: archive for name in archive.files}, where)
    except Exception as problem:  # forged bytes make these readers raise anything, even tokenizer errors
        raise DataError(f"{where}: the checkpoint is corrupt ({problem})") from None
    if not isinstance(state, dict):
        raise DataError(f"{where}: the checkpoint holds a {type(state).__name__}, expected a dict")
    return state


def _strip(value: Any, arrays: list[NDArray[Any]], where: str) -> Any:
    """`value` with every array moved to `arrays` and a reference in its place."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.hasobject:
            raise TypeError(f"{where} is an array of Python objects, which a checkpoint cannot hold")
        arrays.append(np.asarray(value))
        return {_SCALAR if isinstance(value, np.generic) else _ARRAY: len(arrays) - 1}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_strip(item, arrays, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        if bad := [key for key in value if not isinstance(key, str) or key in (_ARRAY, _SCALAR)]:
            raise TypeError(f"{where} has the key {bad[0]!r}, which a checkpoint cannot hold")
        return {key: _strip(item, arrays, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(f"{where} is a {type(value).__name__}, which a checkpoint cannot hold")


class _Saved(dict[str, Any]):
    """What a checkpoint holds; a key that it lacks is one line: other versions of a program write others."""

    where = "a saved state"  # a copy made as dict makes one (dataclasses.asdict does) knows no file

    def __missing__(self, key: str) -> NoReturn:
        raise DataError(
            f"{self.where}: a checkpoint of another version (it has no {key!r}); remove it and begin anew"
        )


def _dress(value: Any, unused: dict[str, Any], where: str) -> Any:
    """The inverse of `_strip`.

    Args: unused — name of each array to the archive that holds it; each may be taken once, as `_strip` wrote
        it: a forged file could ask for one over and over; where — names the file in messages.
    """
    if isinstance(value, list):
        return [_dress(item, unused, where) for item in value]
    if isinstance(value, dict):
        if set(value) in ({_ARRAY}, {_SCALAR}):
            ((kind, number),) = value.items()
            name = f"a{number}"
            array = unused.pop(name)[name]
            return array if kind == _ARRAY else array[()]
        saved = _Saved((key, _dress(item, unused, where)) for key, item in value.items())
        saved.where = where
        return saved
    return value


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".prev")


def _read(path: Path) -> bytes:
    return read_regular_file(path, MAX_BYTES)
