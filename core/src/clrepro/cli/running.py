"""What `reproduce` and `sweep` share: running jobs, saying how it goes, tables, signals, cores."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType

from clrepro.cli.progress import SweepProgress
from clrepro.errors import DataError
from clrepro.io.paths import exists
from clrepro.records import RunRecord, read_record
from clrepro.sweep import Executor, Job, Profile, Store, Summary, run_sweep, split
from clrepro.sweep.host import say, show


def run_jobs(
    title: str, jobs: Sequence[Job], store: Store, make_executor: Callable[[int], Executor]
) -> Summary:
    """Run what is left of `jobs`, with progress and failures told on stderr.

    Args: make_executor — called with the number of jobs left, if there are any.
    """
    done, todo = split(jobs, store)
    say(f"{title}: {len(jobs)} runs, {len(done)} of them done before")
    if not todo:
        return Summary()
    _say_damaged(todo, store)
    executor = make_executor(len(todo))
    with SweepProgress(title, todo) as progress:
        try:
            summary = run_sweep(todo, executor, progress.finished, store)
        finally:
            _stop(executor)
    _say_failures(summary, store)
    return summary


def show_table(profile: Profile, records: Sequence[RunRecord], store: Store) -> None:
    """Print the table of `records` and keep it beside them in a folder; heavy imports wait for the runs."""
    from clrepro.cli.outputs import make_table, write_table

    if not records:
        return
    table = make_table(profile.folder.parent.parent, profile.paper, profile.name, records)
    if store.folder is not None:
        write_table(table, store.folder)
    show(table.markdown())


def say_waiting(store: Store, elsewhere: Iterable[str] = ()) -> None:
    """Say what waits for the store and where, as a command's last line.

    Args: elsewhere — outboxes of other machines ("machine:folder") that are known to hold something.
    """
    here = store.waiting()
    others = sorted(where for where in elsewhere if not here.endswith(f" in {where}"))
    places = [*filter(None, [here]), *(f"some in {where}" for where in others)]
    if places:
        said = f"waiting for {store}: finished runs, {', '.join(places)}"
        say(f"{said}; the same command sends them before it goes on")


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Callable[[], int]]:
    """Within the block SIGTERM and SIGHUP act like Ctrl-C; what is yielded tells the exit code then due."""
    seen: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield lambda: 128 + (seen[0] if seen else signal.SIGINT)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def n_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stop(executor: Executor) -> None:
    """Stop `executor`; a second Ctrl-C must not leave workers behind."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        executor.stop()
    finally:
        signal.signal(signal.SIGINT, previous)


def _say_damaged(todo: Sequence[Job], store: Store) -> None:
    """Name the files that should hold records of `todo` and do not: those runs are made again."""
    if store.folder is None:
        return
    for path in (job.record_path(store.folder) for job in todo):
        try:
            if exists(path):
                read_record(path)
        except DataError as problem:
            say(f"made again: {str(problem).split(';')[0]}")


def _say_failures(summary: Summary, store: Store) -> None:
    for job, reason in [*summary.failed, *summary.lost]:
        say(f"failed: {job.key}: {reason}")
    if summary.failed and store.folder is not None:
        folders = sorted({str(store.folder / job.paper / job.profile / "work") for job, _ in summary.failed})
        say(f"logs of failed runs: {', '.join(folders)}/*/*/*/log.txt; the same command tries them again")
    if summary.unconfirmed:
        n = len(summary.done)
        say(f"not confirmed: {n} runs are done, but the store cannot be asked now: {summary.unconfirmed}")
    if summary.not_started:
        say(f"not started: {summary.not_started} runs, for the store does not take records")
