"""A sweep from start to end: what is left to do, doing it, and counting what came out."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from clrepro.errors import DataError
from clrepro.records import RunRecord, read_record
from clrepro.runs import RunDir, hold_lock, remove_temporaries
from clrepro.sweep.executors import Executor
from clrepro.sweep.jobs import Job, finished_record


@dataclass
class Summary:
    """What a sweep did: jobs by their outcome; `failed` and `lost` carry the reason in one line.

    `failed` jobs have a record that says so; `lost` ones could not even write that (disk full, ...).
    """

    skipped: list[Job] = field(default_factory=list)
    done: list[Job] = field(default_factory=list)
    failed: list[tuple[Job, str]] = field(default_factory=list)
    lost: list[tuple[Job, str]] = field(default_factory=list)


def select(jobs: list[Job], only: str | None) -> list[Job]:
    """The jobs whose "setting/method" matches the glob `only` (None = all), e.g. "rotations/*/meralg?"."""
    return [job for job in jobs if only is None or fnmatchcase(f"{job.setting}/{job.method}", only)]


@contextlib.contextmanager
def sweep_lock(out: Path, paper: str, profile: str) -> Iterator[Path]:
    """Hold the folder `<out>/<paper>/<profile>` for one sweep and clear half-written files of a killed one.

    Raises: BusyError if another sweep works there; DataError if the folder cannot be made.
    """
    folder = RunDir(out / paper / profile).path
    with hold_lock(folder / ".lock"):
        remove_temporaries(folder)
        yield folder


def split(jobs: list[Job], out: Path) -> tuple[list[Job], list[Job]]:
    """The jobs whose good record of the same settings is under `out`, and the others, longest first."""
    done = [job for job in jobs if finished_record(job, out) is not None]
    keys = {job.key for job in done}
    todo = [job for job in jobs if job.key not in keys]
    return done, sorted(todo, key=lambda job: -job.seconds)  # else the longest runs alone at the end


def run_sweep(
    jobs: list[Job],
    out: Path,
    executor: Executor,
    report: Callable[[Job, RunRecord | None, str], None],
) -> Summary:
    """Run what is left of `jobs` with `executor`; each ends in a record under `out`.

    Args: report — called after each job with its record (None if none could be written) and the reason of a
        failure ("" if it is done).
    A job's failure stops nothing.  An exception from outside (Ctrl-C) goes on to the caller, who stops the
    executor; records written by then stay, and the same call later does the rest.
    """
    skipped, todo = split(jobs, out)
    summary = Summary(skipped=skipped)
    waiting: dict[Future[Path], Job] = {}
    queue = iter(todo)
    while True:
        while len(waiting) < executor.slots and (job := next(queue, None)) is not None:
            waiting[executor.submit(job)] = job
        if not waiting:
            return summary
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            job = waiting.pop(future)
            record, reason = _result(future)
            if record is None:
                summary.lost.append((job, reason))
            elif reason:
                summary.failed.append((job, reason))
            else:
                summary.done.append(job)
            report(job, record, reason)


def _result(future: "Future[Path]") -> tuple[RunRecord | None, str]:
    try:
        record = read_record(future.result())
    except DataError as problem:
        return None, str(problem)
    except Exception as problem:
        return None, f"{type(problem).__name__}: {' '.join(str(problem).split())}"
    return record, record.error
