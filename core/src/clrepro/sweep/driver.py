"""A sweep from start to end: what is left to do, doing it, and counting what came out."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from clrepro.errors import DataError
from clrepro.io.atomic import remove_temporaries
from clrepro.io.checkpoint import RunDir
from clrepro.io.lock import hold_lock
from clrepro.records import RunRecord
from clrepro.sweep.executors import Executor
from clrepro.sweep.jobs import Job
from clrepro.sweep.outbox import NotStarted, Waiting
from clrepro.sweep.store import Store

NOT_THERE = "done, but its record is not in the store; do all workers and this process see the same place?"


@dataclass
class Summary:
    """What a sweep did: jobs by their outcome; `failed` and `lost` carry the reason in one line.

    `failed` jobs have a record that says so; `lost` ones have none in the store (disk full, store silent,
    ...), though `outboxes` ("machine:folder") may hold it.  `not_started`: how many were not given out any
    more once the store was known not to take records.  `unconfirmed`: why the store could not be asked at the
    end whether it has the records of `done`; "" if it was.
    """

    done: list[Job] = field(default_factory=list)
    failed: list[tuple[Job, str]] = field(default_factory=list)
    lost: list[tuple[Job, str]] = field(default_factory=list)
    outboxes: set[str] = field(default_factory=set)
    not_started: int = 0
    unconfirmed: str = ""

    @property
    def good(self) -> bool:
        """Whether every run is done."""
        return not (self.failed or self.lost or self.not_started or self.unconfirmed)


def select(jobs: list[Job], only: str | None) -> list[Job]:
    """The jobs whose "setting/method" matches the glob `only` (None = all), e.g. "rotations/*/meralg?"."""
    return [job for job in jobs if only is None or fnmatchcase(f"{job.setting}/{job.method}", only)]


@contextlib.contextmanager
def sweep_lock(out: Path, paper: str, profile: str, shard: str = "") -> Iterator[Path]:
    """Hold the folder `<out>/<paper>/<profile>` for one sweep and clear half-written files of a killed one.

    Args: shard — if not empty, hold this part only, beside sweeps that hold other parts.
    Raises: BusyError if another sweep works there; DataError if the folder cannot be made.
    """
    folder = RunDir(out / paper / profile).path
    with contextlib.ExitStack() as held:
        held.enter_context(hold_lock(folder / ".lock", shared=bool(shard)))
        if shard:
            held.enter_context(hold_lock(folder / f".lock-{shard}"))
        else:
            remove_temporaries(folder)
        yield folder


def split(jobs: Sequence[Job], store: Store) -> tuple[list[Job], list[Job]]:
    """The jobs whose good record of the same settings is in `store`, and the others, longest first."""
    done = store.finished(jobs)
    names = {job.name for job in done}
    todo = [job for job in jobs if job.name not in names]
    return done, sorted(todo, key=lambda job: -job.seconds)  # else the longest runs alone at the end


def run_sweep(
    todo: Sequence[Job],
    executor: Executor,
    report: Callable[[Job, RunRecord | None, str], None],
    store: Store | None = None,
) -> Summary:
    """Run the jobs `todo` (see `split`) with `executor`; each ends in a record in its store.

    Args:
        report: called after each job with its record (without series; None if none could be written) and the
            reason of a failure ("" if it is done).
        store: asked for the first record and, at the end, for every record believed done; those it does not
            have are lost.  None: believed.
    At most `executor.slots` jobs are out at a time, so what is held does not grow with the sweep; a job's end
    costs the same however many are out.  A job's failure stops nothing, but once the store is known not to
    take records no further job is given out.  An exception from outside (Ctrl-C) goes on to the caller, who
    stops the executor; records written by then stay, and the same call later does the rest.
    """
    summary = Summary()
    ended: SimpleQueue[tuple[Job, Future[RunRecord]]] = SimpleQueue()
    queue, out, stopped = deque(todo), 0, False
    while True:
        while queue and not stopped and out < executor.slots:
            job = queue.popleft()
            executor.submit(job).add_done_callback(partial(_put, ended, job))
            out += 1
        if not out:
            break
        job, future = ended.get()
        out -= 1
        record, reason = _result(future)
        if record is not None and not reason and store is not None and not summary.done:
            if not _is_there(job, store):
                record, reason, stopped = None, NOT_THERE, True
        stopped |= isinstance(future.exception(), Waiting | NotStarted)
        _count(summary, job, record, reason, future)
        report(job, record, reason)
    summary.not_started = len(queue)
    if store is not None and summary.done:
        _confirm(summary, store)
    return summary


def _count(
    summary: Summary, job: Job, record: RunRecord | None, reason: str, future: "Future[RunRecord]"
) -> None:
    if record is None:
        summary.lost.append((job, reason))
        if isinstance(problem := future.exception(), Waiting):
            summary.outboxes.add(problem.where)
    elif reason:
        summary.failed.append((job, reason))
    else:
        summary.done.append(job)


def _is_there(job: Job, store: Store) -> bool:
    """Whether the store has the record of a job that is done; a store that is silent just now is asked at the
    end.
    """
    try:
        return bool(store.finished([job]))
    except DataError:
        return True


def _confirm(summary: Summary, store: Store) -> None:
    """Ask the store for every record believed done; the others are moved from `done` to `lost`."""
    try:
        there = {job.name for job in store.finished(summary.done)}
    except DataError as problem:
        summary.unconfirmed = str(problem)
        return
    summary.lost += [(job, NOT_THERE) for job in summary.done if job.name not in there]
    summary.done = [job for job in summary.done if job.name in there]


def _put(ended: "SimpleQueue[tuple[Job, Future[RunRecord]]]", job: Job, future: "Future[RunRecord]") -> None:
    ended.put((job, future))


def _result(future: "Future[RunRecord]") -> tuple[RunRecord | None, str]:
    try:
        record = future.result()
    except DataError as problem:
        return None, str(problem)
    except Exception as problem:
        return None, f"{type(problem).__name__}: {' '.join(str(problem).split())}"
    return record, record.error
