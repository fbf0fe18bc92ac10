"""An fsspec file system as a place of records: asked whether it answers, read, written; errors of one line.

Nothing here creates a bucket: one that does not exist is somebody's typing error.
"""

import hashlib
import threading
from pathlib import Path
from typing import Any

from clrepro.errors import DataError, UsageError

ANSWER_S = 60.0  # for the first word of a store
_BUCKETS = (
    frozenset(  # protocols whose first part is a bucket, which `makedirs` would create; no folders there
        "abfs abfss adl az gcs gs oci oss r2 s3 s3a tos tosfs".split()
    )
)


class NoAnswer(DataError):
    """The store does not answer, or not now; what asks again later may succeed."""


class Refused(DataError):
    """The store answers, and says no."""


class Files:
    """The file system of `url`.

    Raises: UsageError naming the cure if there is none for it here; NoAnswer if it connects and cannot.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            import fsspec

            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as problem:
            raise UsageError(
                f"{url}: no such file system here ({_reason(problem)}); see `pip install 'cl-repro[ray]'`"
            ) from None
        except Exception as problem:  # some connect at once, and every file system raises its own
            raise NoAnswer(f"{url}: cannot be reached ({_reason(problem)})") from None
        self.root = str(root).rstrip("/")
        protocols = self._files.protocol
        self._has_buckets = bool(
            _BUCKETS & {protocols} if isinstance(protocols, str) else _BUCKETS & {*protocols}
        )

    def ask(self) -> None:
        """See that the store answers and, where it is a bucket, that this exists.

        Raises: NoAnswer if it does not answer within a minute; Refused if there is no such bucket.
        """
        box: list[BaseException | None] = []

        def call() -> None:
            try:
                self._ask()
                box.append(None)
            except Exception as problem:
                box.append(problem)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(ANSWER_S)
        if not box:
            raise NoAnswer(f"{self.url}: no answer within {ANSWER_S:.0f} s")
        if box[0] is not None:
            raise self._error(box[0], "cannot be reached") from None

    def _ask(self) -> None:
        self._files.invalidate_cache()
        try:
            self._files.ls(self.root or "/", detail=False)  # not `exists`: that takes an outage for a no
        except FileNotFoundError:
            bucket = self.root.strip("/").partition("/")[0]
            if self._has_buckets and not self._files.exists(bucket):
                self._files.ls(bucket, detail=False)  # an outage once more; else it is really not there
                raise
        except PermissionError:
            if not self._has_buckets:
                raise  # a bucket may allow writing and reading by name, and no listing

    def below(self, folder: str) -> set[str]:
        """All files below `folder`, none if it is not there.  Raises: NoAnswer, Refused."""
        try:
            self._files.invalidate_cache()  # others write
            return {str(path) for path in self._files.find(folder)}
        except FileNotFoundError:
            return set()
        except Exception as problem:
            raise self._error(problem, f"{folder} cannot be listed") from None

    def read(self, paths: list[str]) -> dict[str, Any]:
        """path -> bytes, or the exception of a file that cannot be read.  Raises: NoAnswer."""
        try:
            found: dict[str, Any] = self._files.cat(paths, recursive=False, on_error="return")
        except Exception as problem:
            raise self._error(problem, f"{paths[0]} cannot be read") from None
        for each in found.values():  # a record that cannot be read just now must not be made again
            if isinstance(each, Exception) and not isinstance(each, FileNotFoundError | PermissionError):
                raise self._error(each, "records cannot be read") from None
        return found

    def write(self, path: str, data: bytes) -> None:
        """Write `path` under a temporary name and move it into place, as some file systems show half a file.

        Raises: NoAnswer, Refused.
        """
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.{hashlib.sha256(data).hexdigest()[:8]}.tmp"  # again if tried again
        try:
            self._make(folder)
            self._files.pipe_file(temporary, data)
            self._files.mv(temporary, path)
        except Exception as problem:
            raise self._error(problem, f"{path} cannot be written") from None

    def put(self, source: Path, path: str) -> None:
        """Copy the file `source` to `path`.  Raises: NoAnswer, Refused."""
        try:
            self._make(path.rpartition("/")[0])
            self._files.put_file(str(source), path)
        except Exception as problem:
            raise self._error(problem, f"{path} cannot be written") from None

    def _make(self, folder: str) -> None:
        if not self._has_buckets:
            self._files.makedirs(folder, exist_ok=True)

    def _error(self, problem: BaseException, what: str) -> DataError:
        final = isinstance(problem, PermissionError | FileNotFoundError)
        return (Refused if final else NoAnswer)(f"{self.url}: {what} ({_reason(problem)})")


def _reason(problem: BaseException) -> str:
    text = " ".join(str(problem).split())[:300]
    return text or type(problem).__name__
