"""Finished runs that could not be sent to their store yet: kept on this machine until it answers again.

An outbox is laid out like a folder of results, so `cl-repro report --records OUTBOX` reads it.  It does not
lie in the temporary folder, which is emptied with a batch job or a reboot.
"""

import contextlib
import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from clrepro.errors import DataError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.lock import hold_lock
from clrepro.io.paths import cannot, find, is_file, is_link, walk
from clrepro.records import RunRecord, read_record
from clrepro.sweep.filesystem import Refused

PLACE = "CL_REPRO_OUTBOX"  # variable: the folder of all outboxes of this machine
_PATIENCE_S = 600.0  # for another process of this machine that is sending


class Waiting(DataError):
    """A finished run could not be sent.  Attributes: where — "machine:folder" of the outbox that holds it."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where

    def __reduce__(self) -> tuple[type["Waiting"], tuple[str, str]]:
        return Waiting, (str(self), self.where)  # it comes back from workers


class NotStarted(DataError):
    """A run was not begun, for its store does not answer."""


@dataclass(frozen=True)
class Outbox:
    """The outbox of one store (`url`) on this machine."""

    url: str

    @property
    def folder(self) -> Path:
        """Where it lies; made when something is put in."""
        place = Path(os.environ.get(PLACE) or user_state_path("cl-repro") / "outbox")
        return place.absolute() / hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def where(self) -> str:
        """ "machine:folder", for the user."""
        return f"{socket.gethostname()}:{self.folder}"

    def put(self, record: RunRecord, scratch: Path, artefacts: Path) -> None:
        """Keep `record` and the files of the folder `artefacts`, which lies below `scratch`.

        The record comes last: what it stands for is whole then.  Raises: DataError if they cannot be written.
        """
        with self._held():
            write_atomically(make_folder(self.folder) / "address.txt", f"{self.url}\n".encode())
            try:
                for path in own_files(artefacts):
                    target = self.folder / path.relative_to(scratch)
                    make_folder(target.parent)
                    shutil.copyfile(path, target)
            except OSError as problem:
                raise DataError(cannot(problem, problem.filename or self.folder, "kept")) from None
            path = record.path(self.folder)
            make_folder(path.parent)
            write_atomically(path, record.to_json().encode())

    def waiting(self) -> list[Path]:
        """The records that wait, as files."""
        found = find(self.folder, "seed*.json")[0]
        return [path for path in found if path.relative_to(self.folder).parts[2:3] == ("records",)]

    def send(self, deliver: Callable[[RunRecord, Path], None]) -> list[RunRecord]:
        """Hand every run that waits to `deliver(record, its folder of artefacts)` and forget it then.

        Returns: the records.  A file that is no record stays, and stops nothing.
        Raises: what `deliver` raises: NoAnswer at once, Refused after the others were tried; BusyError if
            another process takes long to send.
        """
        if not self.waiting():
            return []
        sent, refused = [], None
        with self._held():
            for path in self.waiting():  # another process may have sent some meanwhile
                try:
                    record = read_record(path)
                except DataError:
                    continue
                artefacts = artefacts_of(record, self.folder)
                try:
                    deliver(record, artefacts)
                except Refused as problem:  # of this run, maybe not of the next
                    refused = refused or problem
                    continue
                path.unlink(missing_ok=True)  # first: a kill now leaves artefacts, which harm nobody
                for file in own_files(artefacts):
                    file.unlink(missing_ok=True)
                sent.append(record)
            self._remove_empty()
        if refused is not None:
            raise refused
        return sent

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        make_folder(self.folder.parent)
        if is_link(self.folder):
            raise DataError(f"{self.folder}: is a symbolic link; move it away")
        with hold_lock(self.folder.with_suffix(".lock"), patience_s=_PATIENCE_S):
            yield

    def _remove_empty(self) -> None:
        """Remove folders without files, all of them once nothing waits any more."""
        if not self.waiting():
            (self.folder / "address.txt").unlink(missing_ok=True)
        for place, _, _ in os.walk(self.folder, topdown=False):
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(place)


def artefacts_of(record: RunRecord, root: Path) -> Path:
    """The folder below `root` that a run's own files lie in."""
    setting = record.setting.replace("/", "__")
    return root / record.paper / record.profile / "artefacts" / setting / record.method / f"seed{record.seed}"


def own_files(folder: Path) -> list[Path]:
    """The regular files below `folder`; links are left out, as they lead elsewhere."""
    return [path for path in walk(folder) if not is_link(path) and is_file(path)]
