"""A sweep from start to end: what is left to do, doing it, and counting what came out."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from clrepro.errors import DataError
from clrepro.records import RunRecord
from clrepro.runs import RunDir, hold_lock, remove_temporaries
from clrepro.sweep.executors import Executor
from clrepro.sweep.jobs import Job
from clrepro.sweep.store import Store


@dataclass
class Summary:
    """What a sweep did: jobs by their outcome; `failed` and `lost` carry the reason in one line.

    `failed` jobs have a record that says so; `lost` ones could not even write that (disk full, ...).
    """

    done: list[Job] = field(default_factory=list)
    failed: list[tuple[Job, str]] = field(default_factory=list)
    lost: list[tuple[Job, str]] = field(default_factory=list)


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
) -> Summary:
    """Run the jobs `todo` (see `split`) with `executor`; each ends in a record in its store.

    Args: report — called after each job with its record (without series; None if none could be written) and
        the reason of a failure ("" if it is done).
    At most `executor.slots` jobs are out at a time, so what is held does not grow with the sweep; a job's end
    costs the same however many are out.  A job's failure stops nothing.  An exception from outside (Ctrl-C)
    goes on to the caller, who stops the executor; records written by then stay, and the same call later does
    the rest.
    """
    summary = Summary()
    ended: SimpleQueue[tuple[Job, Future[RunRecord]]] = SimpleQueue()
    queue, out = iter(todo), 0
    while True:
        while out < executor.slots and (job := next(queue, None)) is not None:
            executor.submit(job).add_done_callback(partial(_put, ended, job))
            out += 1
        if not out:
            return summary
        job, future = ended.get()
        out -= 1
        record, reason = _result(future)
        if record is None:
            summary.lost.append((job, reason))
        elif reason:
            summary.failed.append((job, reason))
        else:
            summary.done.append(job)
        report(job, record, reason)


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
