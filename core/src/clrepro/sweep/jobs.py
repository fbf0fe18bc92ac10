"""One job of a sweep: a program's command line with its seed, run in its own folder, ending in one record.

A job is a small JSON document, so any executor can carry it anywhere; `run_job` is the same for all of them.
"""

import contextlib
import hashlib
import importlib
import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from clrepro.errors import DataError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.checkpoint import RunDir
from clrepro.io.lock import hold_lock
from clrepro.io.regular_files import read_regular_text
from clrepro.origin import origin
from clrepro.records import (
    Outcome,
    RunRecord,
    canonical_json,
    check_name,
    parse_json_object,
    read_record,
    record_path,
)
from clrepro.sweep.host import Meter, versions
from clrepro.sweep.owned import refuse_links, remove_stamped, set_aside

_STAMP = "job.json"  # in a work folder: which settings began what lies there
ARENA = "arena"  # stands in a job for the paper where the program is the arena's
TASK_LOG = "CL_REPRO_TASK_LOG"  # the variable with the name of the log of a cluster's task
PATIENCE_S = 60.0  # how long a job waits for another process that is at it
PLACEHOLDERS = ("data", "artefacts")  # filled in when the job runs; {seed} is filled in by `expand`


@dataclass(frozen=True)
class Job:
    """One run to be made.

    `command` is the program and its arguments with {data} and {artefacts} for folders; `data_sha256` stands
    for the files the prepare steps made; `seconds` is the expected run time on one core, 0 if unknown.
    """

    paper: str
    profile: str
    setting: str
    method: str
    seed: int
    command: list[str]
    data_sha256: str = ""
    seconds: float = 0.0

    @property
    def key(self) -> str:
        """Row and seed, e.g. "rotations/5120/meralg1/seed0"."""
        return f"{self.setting}/{self.method}/seed{self.seed}"

    @property
    def name(self) -> str:
        """Its name among the jobs of several papers, e.g. "mer/quick/rotations/meralg1/seed0"."""
        return f"{self.paper}/{self.profile}/{self.key}"

    @property
    def settings_hash(self) -> str:
        """Sha256 (hex) of all that decides the result: paper, command line, seed and data."""
        fingerprint = [self.paper, self.command, self.seed, self.data_sha256]
        return hashlib.sha256(canonical_json(fingerprint).encode()).hexdigest()

    def record_path(self, out: Path) -> Path:
        """The file under `out` that this job's record is written to."""
        return record_path(out, self.paper, self.profile, self.setting, self.method, self.seed)

    def to_json(self) -> str:
        """The job as one line of canonical JSON."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str, where: str = "job") -> "Job":
        """The job in `text`.  Raises: DataError naming `where` and the field."""
        body = parse_json_object(text, where)
        kinds: dict[str, Any] = {"seed": int, "command": list, "seconds": int | float}
        for field in fields(cls):
            if not isinstance(body.get(field.name), kinds.get(field.name, str)):
                raise DataError(f"{where}: field {field.name!r} is {body.get(field.name)!r} or missing")
        if unknown := set(body) - {field.name for field in fields(cls)}:
            raise DataError(f"{where}: unknown field {min(unknown)!r}")
        if not body["command"] or not all(isinstance(word, str) for word in body["command"]):
            raise DataError(f"{where}: field 'command' is {body['command']!r}, expected a list of text")
        for name in ("paper", "profile", "setting", "method"):
            check_name(body[name], f"{where}: field {name!r}:")
        return cls(**body)


def finished_record(job: Job, out: Path) -> RunRecord | None:
    """The good record of `job` under `out`, or None if missing, corrupt, failed or of other settings."""
    try:
        record = read_record(job.record_path(out))
    except DataError:
        return None
    return record if is_good(record, job) else None


def is_good(record: RunRecord, job: Job) -> bool:
    """Whether `record` is a result of `job` with the same settings."""
    return record.status == "done" and record.key == job.key and record.settings_hash == job.settings_hash


def run_job(job: Job, out: Path) -> Path:
    """Run `job`, or find it done, and return the path of its record.

    The program is `<paper>_repro.cli.run_program(argv, work_dir=...)`, the arena's that of `clrepro.arena`.
    Its exception makes a record of status "failed" (for FloatingPointError, what a loop raises when a loss or
    a weight is no finite number, "diverged"; for TimeoutError "over budget") with the reason in `error`; the
    work folder with its log then stays, and `origin` names it.  Checkpoints found in the work folder are used
    only if the same settings made them.
    Raises: DataError if the record cannot be written or a link leads to the job's folders; BusyError if
        another process runs the same job.
    """
    if finished_record(job, out) is None:
        with _claimed(job, out):
            if finished_record(job, out) is None:  # now that we are alone
                return _run(job, out)
    return job.record_path(out)


@contextlib.contextmanager
def _claimed(job: Job, out: Path) -> Iterator[None]:
    """Hold `job` for this process: a worker taken for dead may still be at it when another is sent."""
    for folder in (_work_path(job, out), job_folders(job, out)["artefacts"]):
        refuse_links((out / job.paper / job.profile).resolve(), folder)
    lock = _work_path(job, out).with_suffix(".lock")
    make_folder(lock.parent)
    with hold_lock(lock, patience_s=PATIENCE_S):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _run(job: Job, out: Path) -> Path:
    work = _work_folder(job, out)
    places = {name: str(folder) for name, folder in job_folders(job, out).items()}
    make_folder(Path(places["artefacts"]))
    argv = [fill(word, places) for word in job.command]
    meter, made_by = Meter(), origin()
    status, error, outcome = "done", "", Outcome({})
    with _output_to(work.path / "log.txt"):
        try:
            outcome = _program(job.paper)(argv, work_dir=work.path)
        except (Exception, SystemExit) as problem:
            status = _status(problem)
            error = _one_line(problem)
            traceback.print_exc()
    if status != "done":
        made_by = made_by | log_names(job)
    record = _record(job, outcome, places | {"work": str(work.path)}, meter.cost(), made_by, status, error)
    path = save_record(record, out)
    if record.status == "done":
        with contextlib.suppress(DataError):  # the record is kept, and a later run would clear what is left
            remove_stamped(work.path, _STAMP)
    return path


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Append what is printed in the block to the file `path`.  Raises: DataError if it cannot be written."""
    try:
        with open(path, "a", encoding="utf-8") as log:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                yield
    except OSError as problem:  # of the log alone: the block keeps the program's own
        raise DataError(f"{path}: cannot be written ({problem.strerror})") from None


def failed_record(job: Job, error: str) -> RunRecord:
    """The record of a job that ended with no result, `error` saying why in one line."""
    return _record(job, Outcome({}), {}, {}, origin() | log_names(job), "failed", error)


def log_names(job: Job) -> dict[str, str]:
    """What the record of a failed run says of its logs: the run's own, as a path in the folder of results,
    and that of the cluster's task it was in, if that told us (TASK_LOG).
    """
    named = {"log": (Path(job.paper, job.profile, "work") / _folder_name(job) / "log.txt").as_posix()}
    return named | ({"task_log": os.environ[TASK_LOG]} if os.environ.get(TASK_LOG) else {})


def save_record(record: RunRecord, out: Path) -> Path:
    """Write `record` to its place under `out`.  Returns the path.  Raises: DataError."""
    path = record.path(out)
    RunDir(path.parent)
    write_atomically(path, record.to_json().encode())
    return path


def job_folders(job: Job, out: Path) -> dict[str, Path]:
    """The absolute folders that stand for {data} and {artefacts} in the command of `job`."""
    root = (out / job.paper / job.profile).resolve()
    return {"data": root / "data", "artefacts": root / "artefacts" / _folder_name(job)}


def fill(word: str, places: dict[str, str]) -> str:
    """`word` with "{name}" replaced for every name of `places`; other braces stay."""
    for name, value in places.items():
        word = word.replace("{" + name + "}", value)
    return word


def _folder_name(job: Job) -> Path:
    return Path(job.setting.replace("/", "__")) / job.method / f"seed{job.seed}"


def _work_path(job: Job, out: Path) -> Path:
    return (out / job.paper / job.profile).resolve() / "work" / _folder_name(job)


def _work_folder(job: Job, out: Path) -> RunDir:
    """The job's work folder.  If other settings began what lies there, it is emptied, and the artefacts are
    set aside.  Raises: DataError if the work folder is not ours to empty.
    """
    path = _work_path(job, out)
    stamp = path / _STAMP
    try:
        begun = read_regular_text(stamp, 1 << 20)
    except DataError:
        begun = ""
    stamp_text = canonical_json({"settings_hash": job.settings_hash}) + "\n"
    if begun != stamp_text:
        remove_stamped(path, _STAMP)
        set_aside(job_folders(job, out)["artefacts"])
    work = RunDir(path)
    work.atomic_write_text(_STAMP, stamp_text)
    return work


def _program(paper: str) -> Callable[..., Outcome]:
    module = importlib.import_module("clrepro.arena.program" if paper == ARENA else f"{paper}_repro.cli")
    program: Callable[..., Outcome] = module.run_program
    return program


def _status(problem: BaseException) -> str:
    if isinstance(problem, FloatingPointError):
        return "diverged"
    return "over budget" if isinstance(problem, TimeoutError) else "failed"


def _record(
    job: Job,
    outcome: Outcome,
    places: dict[str, str],
    cost: dict[str, float],
    made_by: dict[str, str],
    status: str,
    error: str,
) -> RunRecord:
    """The record of `job`; an outcome that no record can hold makes it a failed one."""
    try:
        return RunRecord(
            paper=job.paper,
            profile=job.profile,
            setting=job.setting,
            method=job.method,
            seed=job.seed,
            command=job.command,
            settings=_neutral(dict(outcome.settings), places),
            settings_hash=job.settings_hash,
            metrics=dict(outcome.metrics),
            series=dict(outcome.series),
            data=_neutral(dict(outcome.data), places),
            versions=dict(outcome.versions) or versions(),
            origin=made_by,
            cost={**cost, **outcome.cost},
            status=status,
            error=error,
        )
    except (DataError, TypeError, ValueError) as problem:
        if error:
            raise
        reason = f"the program's outcome is no record: {_one_line(problem)}"
        return _record(job, Outcome({}), {}, cost, made_by, "failed", reason)


def _neutral(value: Any, places: dict[str, str]) -> Any:
    """`value` with this machine's folders replaced by placeholders, as records must not depend on them."""
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        for name, folder in places.items():
            value = value.replace(folder, "{" + name + "}")
        return value
    if isinstance(value, dict):
        return {key: _neutral(item, places) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_neutral(item, places) for item in value]
    return value


def _one_line(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__
