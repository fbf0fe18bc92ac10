"""`cl-repro sweep`: run a sweep file, here or on a cluster, by Slurm or Ray."""

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from clrepro.cli import array
from clrepro.cli.reproduce import no_row
from clrepro.cli.running import n_cores, run_jobs, say_waiting, show_table, stop_on_signals
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.sweep import (
    Executor,
    Folder,
    Job,
    Part,
    Processes,
    Serial,
    Spec,
    Store,
    expand,
    find_home,
    load_spec,
    open_store,
    select,
    sweep_lock,
)
from clrepro.sweep.host import say, show
from clrepro.sweep.prepare import prepare_together
from clrepro.sweep.profiles import MAX_RUNS, check_size, count_runs
from clrepro.sweep.slurm import array_script, shard

_SHARD = re.compile(r"(\d{1,6})/(\d{1,6})")


def run(
    spec: Path,
    executor: str,
    address: str | None,
    jobs: int | None,
    out: str,
    data_dir: Path | None,
    shard: str | None,
    show_jobs: bool,
    slurm: Path | None,
    store_patience: float,
    follow: bool,
) -> int:
    """Run the sweep file `spec`; records go to `out`, a folder or an fsspec URL.

    Args: shard — "k/n": only part k (from 0) of n; show_jobs — print the jobs as JSON lines, run nothing;
        slurm — write an array script to this file, run nothing; store_patience — seconds for which a store
        that does not answer is asked again; follow — watch the array that an earlier call submitted.
    Returns: 0; 1 if a run failed; 130 or 143 if stopped by Ctrl-C or SIGTERM (what is done by then stays).
    Raises: UsageError, DataError and BusyError before anything runs.
    """
    home = find_home()
    plan = load_spec(spec, home)
    part = _shard(shard)
    _check(plan, executor, address, jobs)
    _check_slurm(executor, part, follow)
    if data_dir is not None:
        os.environ["CL_REPRO_DATA"] = str(data_dir.resolve())  # the prepare steps and workers inherit it
    if show_jobs:
        for job in _jobs(plan, lambda part: ""):
            show(job.to_json())
        return 0
    steps = {f"{p.profile.paper}/{p.profile.name}": p.profile.prepare for p in plan.parts}
    store = open_store(out, steps, store_patience)
    if slurm is not None:
        return _write_slurm(plan, store, home, slurm)
    if out.startswith("memory://") and executor == "serial":
        raise UsageError(f"--out {out}: the memory of this process ends with it; name a folder or an address")
    with stop_on_signals() as exit_code:
        if executor == "slurm":
            try:
                return _run_array(plan, store, home, follow)
            except KeyboardInterrupt:  # what it says then was said; nothing of ours runs here
                return exit_code()
        try:
            return _run(plan, store, executor, address, jobs or n_cores(), part)
        except KeyboardInterrupt:
            say("stopped; finished runs are kept, the same command goes on from here")
            say_waiting(store)
            return exit_code()


def _run(
    spec: Spec,
    store: Store,
    executor: str,
    address: str | None,
    n_jobs: int,
    part: tuple[int, int] | None,
) -> int:
    """Run all parts of `spec` as one sweep, then print their tables.  Returns: the exit code."""

    def make_executor(n_left: int) -> Executor:
        if executor == "serial":
            return Serial(store)
        if executor == "processes":
            return Processes(store, min(n_jobs, n_left))
        from clrepro.sweep.cluster import Ray

        return Ray(store, spec.share_of, address)

    place = store.workplace()
    name = "" if part is None else f"{part[0]}-of-{part[1]}"
    with contextlib.ExitStack() as held:
        if store.folder is not None:
            for each in spec.parts:
                held.enter_context(sweep_lock(place, each.profile.paper, each.profile.name, name))
        every = _jobs(spec, lambda each: prepare_together(each.profile, place, say))
        mine = every if part is None else shard(every, *part)
        if sent := store.send_waiting():
            say(f"sent: {len(sent)} finished runs that were waiting for {store}")
        summary = run_jobs(spec.path.stem, mine, store, make_executor)
        good = summary.good
        try:
            if part is None:  # a part of an array would print a table of what the others have done so far
                _show_tables(spec, every, store)
        except DataError as problem:  # the store has just stopped to answer
            say(f"no table: {problem}")
            good = False
        say_waiting(store, summary.outboxes)
    return 0 if good else 1


def _run_array(spec: Spec, store: Store, home: Path, watch: bool) -> int:
    """Submit `spec` as an array, or find the one that was, watch it and print the tables."""
    if not isinstance(store, Folder):
        raise UsageError("--executor slurm: --out must be a folder that all nodes see, not an address")
    before = array.submitted_before(spec, store.out) if watch else None
    every = _jobs(spec, lambda each: prepare_together(each.profile, store.out, say))
    submitted = before or array.submit_array(spec, every, store, home)
    good = submitted is None or array.follow(spec, every, store, submitted)
    _show_tables(spec, every, store)
    return 0 if good else 1


def _show_tables(spec: Spec, every: Sequence[Job], store: Store) -> None:
    for part in spec.parts:
        own = [job for job in every if (job.paper, job.profile) == (part.profile.paper, part.profile.name)]
        show_table(part.profile, store.records(own), store)


def _jobs(spec: Spec, data_sha256: Callable[[Part], str]) -> list[Job]:
    """All jobs of `spec`, in the order of its parts."""
    jobs = []
    for part in spec.parts:
        jobs += select(expand(part.profile, part.n_seeds, data_sha256(part)), part.only)
    return jobs


def _write_slurm(spec: Spec, store: Store, home: Path, script: Path) -> int:
    if store.folder is None:
        raise UsageError("--slurm: --out must be a folder that all nodes see, not an address")
    make_folder(script.resolve().parent)
    text = array_script(spec, _jobs(spec, lambda part: ""), home, store.folder, script.resolve())
    write_atomically(script, text.encode())
    say(f"written: {script}; submit it with: sbatch {script}")
    return 0


def _check(spec: Spec, executor: str, address: str | None, jobs: int | None) -> None:
    if address is not None and executor != "ray":
        raise UsageError(f"--address is for --executor ray, not {executor}")
    if jobs is not None and executor in ("ray", "slurm"):
        raise UsageError(f"--jobs is not for --executor {executor}: the cluster's size and [share] decide")
    n_runs = 0
    for part in spec.parts:
        check_size(part.profile, part.n_seeds)
        n_own = count_runs(part.profile, part.n_seeds, part.only)
        if not n_own:
            raise UsageError(no_row(part.profile, part.only, f"{spec.path}: only ="))
        if (n_runs := n_runs + n_own) > MAX_RUNS:
            raise UsageError(f"{spec.path}: more than {MAX_RUNS:,} runs; make several sweeps of it")


def _check_slurm(executor: str, part: tuple[int, int] | None, follow: bool) -> None:
    if follow and executor != "slurm":
        raise UsageError(f"--follow is for --executor slurm, not {executor}")
    if part is not None and executor == "slurm":
        raise UsageError("--shard is not for --executor slurm: each task of the array takes its own")


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = _SHARD.fullmatch(text)
    if not found or not int(found[1]) < int(found[2]):
        raise UsageError(f"--shard {text!r}: expected k/n with k from 0 to n - 1, e.g. 0/10")
    return int(found[1]), int(found[2])
