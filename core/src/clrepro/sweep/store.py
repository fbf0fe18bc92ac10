"""Where a sweep's records are kept: a folder that all workers see, or any address that fsspec can write.

A store is a small value that travels to the workers with the jobs; `carry_out` is what every executor calls
there.  Workers of a folder share its checkpoints, so a job begun on a machine that died is continued on
another.  Workers of an address (s3://, gs://, ...) run in a folder of their own machine and send what came
out, the record last: what is in the store is whole.  What cannot be sent waits in an outbox (outbox.py).
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from clrepro.checkout import find_home
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder
from clrepro.io.paths import exists, is_link
from clrepro.records import MAX_BYTES, RunRecord, read_record
from clrepro.sweep.filesystem import Files, NoAnswer, Refused
from clrepro.sweep.host import say
from clrepro.sweep.jobs import Job, finished_record, is_good, run_job, save_record
from clrepro.sweep.outbox import NotStarted, Outbox, Waiting, artefacts_of, own_files
from clrepro.sweep.prepare import prepare_together
from clrepro.sweep.profiles import Profile

STORE_PATIENCE_S = 180.0  # how long a store that does not answer is asked again
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 15.0  # between two questions
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

    @property
    def folder(self) -> Path | None:
        """Where the records lie as files of this machine; None if they do not."""

    def workplace(self) -> Path:
        """A folder of this machine for the data that the runs share.  Raises: DataError."""

    def waiting(self) -> str:
        """What waits for the store on this machine and where, "3 in HOST:PATH"; empty if nothing does."""

    def send_waiting(self) -> list[RunRecord]:
        """Send what waits.  Returns: the records.  Raises: DataError."""


@dataclass(frozen=True)
class Folder:
    """Records in a folder of this machine or of a file system that all workers mount at the same path."""

    out: Path

    def __str__(self) -> str:
        return str(self.out)

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

    @property
    def folder(self) -> Path | None:
        """As `Store.folder`."""
        return self.out

    def workplace(self) -> Path:
        """As `Store.workplace`: beside the records."""
        return self.out

    def waiting(self) -> str:
        """As `Store.waiting`: a record is written where it stays."""
        return ""

    def send_waiting(self) -> list[RunRecord]:
        """As `Store.send_waiting`."""
        return []


@dataclass(frozen=True)
class Address:
    """Records under an fsspec URL; `steps` are the prepare steps by "paper/profile", done on every machine.

    Two workers that run the same job (a machine taken for dead) write the same record, the later one whole.
    While the store does not answer, a finished run waits in this machine's outbox and no run begins: the
    worker asks again for `patience_s` seconds.
    """

    url: str
    steps: Mapping[str, list[list[str]]] = field(default_factory=dict)
    patience_s: float = STORE_PATIENCE_S

    def __str__(self) -> str:
        return self.url

    @property
    def outbox(self) -> Outbox:
        """This machine's runs that wait for the store."""
        return Outbox(self.url)

    def finished(self, jobs: Iterable[Job]) -> list[Job]:
        """As `Store.finished`; one listing per profile, then only what the listing shows."""
        jobs = list(jobs)
        found = {_name_of(record) for record in self.records(jobs)}
        return [job for job in jobs if job.name in found]

    def records(self, jobs: Iterable[Job]) -> list[RunRecord]:
        """As `Store.records`; corrupt files count as missing.  Raises: DataError if the store is silent."""
        files = Files(self.url)
        wanted = {f"{files.root}/{_relative(job)}": job for job in jobs}
        there: set[str] = set()
        for folder in sorted({f"{files.root}/{job.paper}/{job.profile}/records" for job in wanted.values()}):
            there |= files.below(folder)
        paths = [path for path in wanted if path in there]
        found = []
        for start in range(0, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            texts = files.read(chunk)  # many at a time where it can
            for path in chunk:
                record = _parsed(texts.get(path), path)
                if record is not None and is_good(record, wanted[path]):
                    found.append(record)
        return found

    def save(self, record: RunRecord) -> None:
        """As `Store.save`."""
        files = Files(self.url)
        files.write(f"{files.root}/{record.path(Path('.')).as_posix()}", record.to_json().encode())

    def carry_out(self, job: Job) -> RunRecord:
        """As `Store.carry_out`.

        Raises: Waiting if the run is finished and could not be sent; NotStarted if the store does not answer.
        """
        for record in self._gate(job):
            if is_good(record, job):  # an earlier call had finished it
                return _slim(record)
        scratch = self.scratch()
        self._prepare(job, scratch)
        record = read_record(run_job(job, scratch))
        artefacts = artefacts_of(record, scratch)
        try:
            self._deliver(record, artefacts)
        except DataError as problem:
            self.outbox.put(record, scratch, artefacts)
            self._send_later(job, problem)
        return _slim(record)

    @property
    def folder(self) -> Path | None:
        """As `Store.folder`."""
        return None

    def workplace(self) -> Path:
        """As `Store.workplace`."""
        return make_folder(self.scratch())

    def waiting(self) -> str:
        """As `Store.waiting`."""
        n = len(self.outbox.waiting())
        return f"{n} in {self.outbox.where}" if n else ""

    def send_waiting(self) -> list[RunRecord]:
        """As `Store.send_waiting`."""
        return self.outbox.send(self._deliver)

    def scratch(self) -> Path:
        """This user's folder on this machine for the runs of this store; a later sweep continues there.

        Raises: DataError if it is a link or another user's: everybody may write in the temporary folder.
        """
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        mine = Path(tempfile.gettempdir()).resolve() / f"cl-repro-{os.getuid()}"
        if is_link(mine) or (exists(mine) and mine.stat().st_uid != os.getuid()):
            raise DataError(f"{mine}: is a link or another user's; set TMPDIR to a folder of your own")
        return mine / digest

    def _gate(self, job: Job) -> list[RunRecord]:
        """Wait until the store answers and has taken what waits here.  Returns: what was sent."""
        sent: list[RunRecord] = []

        def ask() -> None:
            Files(self.url).ask()
            sent.extend(self.send_waiting())

        if (problem := self._again(ask, job, "not begun until it does")) is not None:
            raise NotStarted(f"not started: {problem}")
        return sent

    def _send_later(self, job: Job, problem: DataError) -> None:
        """Try to send the outbox until the patience is over; `problem` is why the first try failed."""
        last: DataError | None = problem
        if not isinstance(problem, Refused):
            last = self._again(self.send_waiting, job, "finished and kept")
        if last is not None:
            raise Waiting(f"finished, and waits in {self.outbox.where}: {last}", self.outbox.where)

    def _again(self, attempt: Callable[[], object], job: Job, state: str) -> DataError | None:
        """Make `attempt` until it succeeds (None) or the patience is over (the last problem)."""
        give_up, pause = time.monotonic() + self.patience_s, _FIRST_PAUSE_S
        while True:
            try:
                attempt()
                return None
            except DataError as problem:
                if isinstance(problem, Refused) or time.monotonic() + pause > give_up:
                    return problem
                if pause == _FIRST_PAUSE_S:
                    said = f"{problem}; {job.name} is {state}; asking again for {self.patience_s:g} s"
                    say(said)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

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

    def _deliver(self, record: RunRecord, artefacts: Path) -> None:
        """Copy the run's own files beside the records, then the record.  Raises: NoAnswer, Refused."""
        files = Files(self.url)
        place = artefacts_of(record, Path(".")).as_posix()
        for path in own_files(artefacts):
            files.put(path, f"{files.root}/{place}/{path.relative_to(artefacts).as_posix()}")
        self.save(record)


def open_store(
    place: str, steps: Mapping[str, list[list[str]]], patience_s: float = STORE_PATIENCE_S
) -> Folder | Address:
    """The store at `place`, a path or an fsspec URL; `steps` and `patience_s` as of `Address`.

    Raises: UsageError if no file system for the URL is installed, it does not answer, or has no such bucket.
    """
    if "://" not in place:
        return Folder(Path(place).resolve())
    if place.startswith("file://"):
        return Folder(Path(place.removeprefix("file://")).resolve())
    try:
        Files(place).ask()
    except Refused as problem:
        raise UsageError(f"{problem}; make the bucket first, nothing is created here") from None
    except NoAnswer as problem:
        raise UsageError(str(problem)) from None
    return Address(place.rstrip("/"), dict(steps), patience_s)


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
