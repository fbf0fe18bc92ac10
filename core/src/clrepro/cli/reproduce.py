"""`cl-repro reproduce`: run what a profile lists, skip what is done, print the table."""

import os
from pathlib import Path

from clrepro.cli.papers import chosen_papers
from clrepro.cli.running import n_cores, run_jobs, show_table, stop_on_signals
from clrepro.errors import UsageError
from clrepro.io.atomic import make_folder
from clrepro.sweep import (
    Executor,
    Folder,
    Processes,
    Profile,
    Serial,
    expand,
    find_home,
    load_profile,
    prepare,
    select,
    sweep_lock,
)
from clrepro.sweep.host import say
from clrepro.sweep.profiles import check_size, count_runs


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
    n_jobs = jobs or n_cores()
    good = True
    with stop_on_signals() as exit_code:
        try:
            for each in profiles:
                good &= _reproduce_one(each, only, seeds, n_jobs, out, executor)
        except KeyboardInterrupt:
            say("stopped; finished runs are kept, the same command goes on from here")
            return exit_code()
    _write_page(home, out)
    return 0 if good else 1


def _reproduce_one(
    profile: Profile, only: str | None, seeds: int | None, n_jobs: int, out: Path, executor: str
) -> bool:
    """Run one profile and print its table.  Returns: whether every run is done."""
    store = Folder(out)

    def make_executor(n_left: int) -> Executor:
        return Serial(store) if executor == "serial" else Processes(store, min(n_jobs, n_left))

    with sweep_lock(out, profile.paper, profile.name):
        every = expand(profile, seeds, prepare(profile, out, say))
        done = run_jobs(f"{profile.paper} {profile.name}", select(every, only), store, make_executor)
        show_table(profile, store.records(every), store)
    return done.good


def _write_page(home: Path, out: Path) -> None:
    """Write the site behind `<out>/report.html` from all records of all papers and profiles under `out`."""
    from clrepro.cli.arena_page import page_of
    from clrepro.cli.outputs import tables_from
    from clrepro.cli.site import write_report

    if tables := tables_from(home, [out])[0]:
        say(f"report: {write_report(home, out, tables, [out], page_of(home, [out]))}")


def _check_selection(profile: Profile, only: str | None, seeds: int | None) -> None:
    check_size(profile, seeds)
    if not count_runs(profile, seeds, only):
        raise UsageError(no_row(profile, only, "--only"))


def no_row(profile: Profile, only: str | None, flag: str) -> str:
    """The line for a glob that matches nothing: the first rows that there are."""
    rows = [f"{row.setting}/{row.method}" for row in profile.rows]
    names = ", ".join(rows[:6]) + (", ..." if len(rows) > 6 else "")
    return f"{flag} {only!r} matches no row of {profile.paper} {profile.name}: {names}"
