"""Where a sweep's records are kept: a folder that all workers see, or any address that fsspec can write.

A store is a small value that travels to the workers with the jobs; `carry_out` is what every executor calls
there.  Workers of a folder share its checkpoints, so a job begun on a machine that died is continued on
another.  Workers of an address (s3://, gs://, ...) run in a folder of their own machine and send what came
out, the record last: what is in the store is whole.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from clrepro.errors import DataError, UsageError
from clrepro.records import MAX_BYTES, RunRecord, read_record
from clrepro.sweep.jobs import Job, finished_record, is_good, job_folders, run_job, save_record
from clrepro.sweep.prepare import prepare_together
from clrepro.sweep.profiles import Profile, find_home

_CHUNK = 256  # records fetched at a time


class Store(Protocol):
    """What a sweep needs of the place of its records."""

    def finished(self, jobs: Iterable[Job]) -> list[Job]:
        """Those of `jobs` whose good record is here."""

    def records(self, jobs: Iterable[Job]) -> list[RunRecord]:
        """The good records of `jobs`, whole, those that are here."""

    def save(self, record: RunRecord) -> None:
        """Write `record` to its place.  Raises: DataError."""

    def carry_out(self, job: Job) -> RunRecord:
        """Run `job` in this process, or find it done; its record is then here.

        Returns: the record without its series and settings, which the coordinator of 10,000 jobs can hold.
        Raises: DataError if no record could be written.
        """


@dataclass(frozen=True)
class Folder:
    """Records in a folder of this machine or of a file system that all workers mount at the same path."""

    out: Path

    def finished(self, jobs: Iterable[Job]) -> list[Job]:
        """As `Store.finished`; reads every record."""
        return [job for job in jobs if finished_record(job, self.out) is not None]

    def records(self, jobs: Iterable[Job]) -> list[RunRecord]:
        """As `Store.records`."""
        return [record for job in jobs if (record := finished_record(job, self.out))]

    def save(self, record: RunRecord) -> None:
        """As `Store.save`."""
        save_record(record, self.out)

    def carry_out(self, job: Job) -> RunRecord:
        """As `Store.carry_out`."""
        return _slim(read_record(run_job(job, self.out)))


@dataclass(frozen=True)
class Address:
    """Records under an fsspec URL; `steps` are the prepare steps by "paper/profile", done on every machine.

    Two workers that run the same job (a machine taken for dead) write the same record, the later one whole.
    """

    url: str
    steps: Mapping[str, list[list[str]]] = field(default_factory=dict)

    def finished(self, jobs: Iterable[Job]) -> list[Job]:
        """As `Store.finished`; one listing per profile, then only what the listing shows."""
        jobs = list(jobs)
        found = {_name_of(record) for record in self.records(jobs)}
        return [job for job in jobs if job.name in found]

    def records(self, jobs: Iterable[Job]) -> list[RunRecord]:
        """As `Store.records`; corrupt files count as missing."""
        files, root = _open(self.url)
        wanted = {f"{root}/{_relative(job)}": job for job in jobs}
        there: set[str] = set()
        for folder in sorted({f"{root}/{job.paper}/{job.profile}/records" for job in wanted.values()}):
            there |= set(_listing(files, folder))
        paths = [path for path in wanted if path in there]
        found = []
        for start in range(0, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            texts = files.cat(chunk, recursive=False, on_error="return")  # many at a time where it can
            for path in chunk:
                record = _parsed(texts.get(path), path)
                if record is not None and is_good(record, wanted[path]):
                    found.append(record)
        return found

    def save(self, record: RunRecord) -> None:
        """As `Store.save`: under a temporary name first, as some file systems show half a file."""
        files, root = _open(self.url)
        path = f"{root}/{record.path(Path('.')).as_posix()}"
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.{os.urandom(4).hex()}.tmp"
        try:
            files.makedirs(folder, exist_ok=True)
            files.pipe_file(temporary, record.to_json().encode())
            files.mv(temporary, path)
        except Exception as problem:  # every file system raises its own
            raise DataError(f"{self.url}: {path} cannot be written ({problem})") from None

    def carry_out(self, job: Job) -> RunRecord:
        """As `Store.carry_out`."""
        scratch = self.scratch()
        self._prepare(job, scratch)
        record = read_record(run_job(job, scratch))
        self._send_artefacts(job, scratch)
        self.save(record)
        return _slim(record)

    def scratch(self) -> Path:
        """This user's folder on this machine for the runs of this store; a later sweep continues there."""
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"cl-repro-{os.getuid()}" / digest

    def _prepare(self, job: Job, scratch: Path) -> None:
        """Make the job's data on this machine, and see that they are those it was planned with."""
        steps = self.steps.get(f"{job.paper}/{job.profile}", [])
        folder = find_home() / "papers" / job.paper
        profile = Profile(job.paper, job.profile, folder, [], [], steps)
        if prepare_together(profile, scratch, lambda line: None) != job.data_sha256:
            raise DataError(
                f"{job.name}: this machine prepared other data than the coordinator;"
                " the checkout or the data sets differ"
            )

    def _send_artefacts(self, job: Job, scratch: Path) -> None:
        """Copy the run's own files beside the records."""
        files, root = _open(self.url)
        folder = job_folders(job, scratch)["artefacts"]
        try:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                target = f"{root}/{path.relative_to(scratch.resolve()).as_posix()}"
                files.makedirs(target.rpartition("/")[0], exist_ok=True)
                files.put_file(str(path), target)
        except Exception as problem:  # every file system raises its own
            raise DataError(f"{self.url}: {path.name} cannot be written ({problem})") from None


def open_store(place: str, steps: Mapping[str, list[list[str]]]) -> Folder | Address:
    """The store at `place`, a path or an fsspec URL; `steps` as `Address.steps`.

    Raises: UsageError if no file system for the URL is installed.
    """
    if "://" not in place:
        return Folder(Path(place).resolve())
    if place.startswith("file://"):
        return Folder(Path(place.removeprefix("file://")).resolve())
    _open(place)
    return Address(place.rstrip("/"), dict(steps))


def _open(url: str) -> tuple[Any, str]:
    """The file system of `url` and the path in it.  Raises: UsageError naming the cure."""
    try:
        import fsspec

        files, root = fsspec.core.url_to_fs(url)
        return files, root.rstrip("/")
    except (ImportError, ValueError) as problem:
        reason = " ".join(str(problem).split())
        raise UsageError(
            f"{url}: no such file system here ({reason}); see `pip install 'cl-repro[ray]'`"
        ) from None


def _listing(files: Any, folder: str) -> list[str]:
    """All files below `folder`, none if it is not there."""
    try:
        return [str(path) for path in files.find(folder)]
    except FileNotFoundError:
        return []


def _parsed(text: Any, path: str) -> RunRecord | None:
    """The record in `text`, None for what is none (an exception stands for a file that could not be read)."""
    if not isinstance(text, bytes) or len(text) > MAX_BYTES:
        return None
    try:
        return RunRecord.from_json(text.decode("utf-8"), path)
    except (DataError, UnicodeDecodeError):
        return None


def _relative(job: Job) -> str:
    return job.record_path(Path(".")).as_posix()


def _name_of(record: RunRecord) -> str:
    return f"{record.paper}/{record.profile}/{record.key}"


def _slim(record: RunRecord) -> RunRecord:
    return replace(record, series={}, settings={}, data={})
