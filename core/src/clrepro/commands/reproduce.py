"""`cl-repro reproduce`: run what a profile lists, skip what is done, print the table."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from clrepro.commands.papers import chosen_papers
from clrepro.commands.progress import SweepProgress
from clrepro.errors import DataError, UsageError
from clrepro.records import RunRecord, read_record
from clrepro.runs import make_folder
from clrepro.sweep import (
    Executor,
    Job,
    Processes,
    Profile,
    Serial,
    Summary,
    expand,
    find_home,
    finished_record,
    load_profile,
    prepare,
    run_sweep,
    select,
    split,
    sweep_lock,
)
from clrepro.sweep.host import show


def run(
    paper: str,
    profile: str,
    only: str | None,
    seeds: int | None,
    jobs: int | None,
    out: Path,
    data_dir: Path | None,
    executor: str,
) -> int:
    """Reproduce `paper` (or "all") under `out`.

    Returns: 0; 1 if a run failed; 130 or 143 if stopped by Ctrl-C or SIGTERM (what is done by then stays).
    Raises: UsageError, DataError and BusyError before anything runs.
    """
    home = find_home()
    profiles = [load_profile(home, name, profile) for name in chosen_papers(home, paper)]
    for each in profiles:
        _check_selection(each, only, seeds)
    make_folder(out)
    if data_dir is not None:
        os.environ["CL_REPRO_DATA"] = str(data_dir.resolve())  # the prepare steps and workers inherit it
    n_jobs = jobs or _n_cores()
    good = True
    with _stop_on_signals() as stopped:
        try:
            for each in profiles:
                good &= _reproduce_one(each, only, seeds, n_jobs, out, executor)
        except KeyboardInterrupt:
            say("stopped; finished runs are kept, the same command goes on from here")
            return 128 + (stopped[0] if stopped else signal.SIGINT)
    _write_page(home, out)
    return 0 if good else 1


def say(line: str) -> None:
    """Print `line` for the user on stderr."""
    print(line, file=sys.stderr, flush=True)


def _reproduce_one(
    profile: Profile, only: str | None, seeds: int | None, n_jobs: int, out: Path, executor_name: str
) -> bool:
    """Run one profile and print its table.  Returns: whether every run is done."""
    with sweep_lock(out, profile.paper, profile.name) as folder:
        every = expand(profile, seeds, prepare(profile, out, say))
        jobs = select(every, only)
        done, todo = split(jobs, out)
        say(f"{profile.paper} {profile.name}: {len(jobs)} runs, {len(done)} of them done before")
        _say_damaged(todo, out)
        summary = Summary(skipped=done)
        if todo:
            n_workers = min(n_jobs, len(todo))
            executor: Executor = Serial(out) if executor_name == "serial" else Processes(out, n_workers)
            with SweepProgress(f"{profile.paper} {profile.name}", todo) as progress:
                try:
                    summary = run_sweep(jobs, out, executor, progress.finished)
                finally:
                    _stop(executor)
        _say_failures(summary, folder)  # first: on a full disk the table fails too
        records = [record for job in every if (record := finished_record(job, out))]
        if records:
            _show_table(profile, records, out)
    return not summary.failed and not summary.lost


def _show_table(profile: Profile, records: list[RunRecord], out: Path) -> None:
    """Print and store the table of `records`; its heavy imports wait until the runs are done."""
    from clrepro.commands.outputs import make_table, write_table

    table = make_table(profile.folder.parent.parent, profile.paper, profile.name, records)
    write_table(table, out)
    show(table.markdown())


def _write_page(home: Path, out: Path) -> None:
    """Write the site behind `<out>/report.html` from all records of all papers and profiles under `out`."""
    from clrepro.commands.outputs import tables_from
    from clrepro.commands.site import write_report

    if tables := tables_from(home, [out])[0]:
        say(f"report: {write_report(home, out, tables, [out])}")


def _stop(executor: Executor) -> None:
    """Stop `executor`; a second Ctrl-C must not leave workers behind."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        executor.stop()
    finally:
        signal.signal(signal.SIGINT, previous)


def _say_damaged(todo: list[Job], out: Path) -> None:
    """Name the files that should hold records of `todo` and do not: those runs are made again."""
    for path in (job.record_path(out) for job in todo):
        try:
            if path.exists():
                read_record(path)
        except DataError as problem:
            say(f"made again: {str(problem).split(';')[0]}")


def _say_failures(summary: Summary, folder: Path) -> None:
    for job, reason in [*summary.failed, *summary.lost]:
        say(f"failed: {job.key}: {reason}")
    if summary.failed:
        say(f"logs of failed runs: {folder / 'work'}/*/*/*/log.txt; the same command tries them again")


def _check_selection(profile: Profile, only: str | None, seeds: int | None) -> None:
    jobs: list[Job] = expand(profile, seeds)
    if not select(jobs, only):
        rows = [f"{row.setting}/{row.method}" for row in profile.rows]
        names = ", ".join(rows[:6]) + (", ..." if len(rows) > 6 else "")
        raise UsageError(f"--only {only!r} matches no row of {profile.paper} {profile.name}: {names}")


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[list[int]]:
    """Within the block SIGTERM and SIGHUP act like Ctrl-C; the list yielded then holds the number."""
    seen: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield seen
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
