"""`cl-repro sweep --executor slurm`: submit the array, watch it, tell how it ended.

Watching changes nothing: it reads records and asks squeue, so it may be left and taken up again at any time
(`--follow`), also by several at once.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clrepro.cli.progress import SweepProgress
from clrepro.errors import BusyError, DataError, UsageError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.paths import exists
from clrepro.records import RunRecord, read_record
from clrepro.sweep import Folder, Job, Spec, split
from clrepro.sweep.host import say
from clrepro.sweep.slurm import array_script, n_tasks
from clrepro.sweep.slurm_queue import (
    Silent,
    Submitted,
    alive,
    largest_array,
    remember,
    remembered,
    state_file,
    submit,
)

SHORTEST_S, LONGEST_S = 0.5, 15.0  # between two looks at the records and the queue
GRACE_S = 3.0  # for the last records to be seen over a network file system


def submit_array(spec: Spec, every: Sequence[Job], store: Folder, home: Path) -> Submitted | None:
    """Submit what is left of the jobs `every`.  Returns: what was submitted; None if nothing is left.

    Raises: BusyError if an array of this sweep is still in the queue; UsageError if Slurm refuses.
    """
    place = state_file(store.out, spec.path)
    if exists(place):
        _refuse_second(spec, remembered(place))
    done, todo = split(every, store)
    say(f"{spec.path.stem}: {len(every)} runs, {len(done)} of them done before")
    if not todo:
        return None
    script = make_folder(place.parent) / "array.sh"
    write_atomically(script, array_script(spec, every, home, store.out, script.resolve()).encode())
    before = {job.name: _written(job, store.out) for job in todo}
    tasks, most = n_tasks(spec, every), largest_array()
    arrays: list[str] = []
    for first in range(0, tasks, most):
        arrays.append(submit(script, first, min(most, tasks - first)))
        remember(place, Submitted(arrays, before))  # each at once: what is in the queue is known
    say(f"submitted: {tasks} tasks, {_jobs(arrays)}; {_how_to(spec, arrays)}")
    return Submitted(arrays, before)


def follow(spec: Spec, every: Sequence[Job], store: Folder, submitted: Submitted) -> bool:
    """Show how the array goes until it has left the queue.  Returns: whether every run of `every` is done.

    Ctrl-C (KeyboardInterrupt, which goes on to the caller) ends nothing but the watching.
    """
    _, todo = split(every, store)
    left = {job.name: job for job in todo}
    failed: list[tuple[Job, RunRecord]] = []
    try:
        with SweepProgress(spec.path.stem, todo) as progress:

            def look() -> bool:
                """Report what has ended since the last look; whether there was any."""
                found = [(job, _ended(job, store.out, submitted)) for job in left.values()]
                ended = [(job, record) for job, record in found if record is not None]
                for job, record in ended:
                    del left[job.name]
                    failed.extend([(job, record)] if record.error else [])
                    progress.finished(job, record, record.error)
                return bool(ended)

            _watch(submitted.arrays, look, lambda: not left)
    except KeyboardInterrupt:
        verb = "goes" if len(submitted.arrays) == 1 else "go"
        say(f"{_jobs(submitted.arrays)} {verb} on; {_how_to(spec, submitted.arrays)}")
        raise
    _say_end(spec, store.out, failed, list(left.values()))
    return not (failed or left)


def submitted_before(spec: Spec, out: Path) -> Submitted:
    """What an earlier call submitted.  Raises: UsageError if there was none."""
    place = state_file(out, spec.path)
    if not exists(place):
        raise UsageError(f"--follow: nothing was submitted for {spec.path} with --out {out}")
    return remembered(place)


def _watch(arrays: Sequence[str], look: Callable[[], bool], complete: Callable[[], bool]) -> None:
    """Look at the records until they are `complete` or no task of `arrays` is in the queue."""
    pause, silent = SHORTEST_S, False
    while True:
        pause = SHORTEST_S if look() else min(LONGEST_S, 1.5 * pause)
        if complete():
            return
        try:
            gone, silent = not alive(arrays), False
        except Silent as problem:  # a controller that is started again forgets no job
            if not silent:
                say(f"{problem}; asking again")
            gone, silent = False, True
        if gone:
            give_up = time.monotonic() + GRACE_S
            while time.monotonic() < give_up and not complete():
                look()
                time.sleep(SHORTEST_S)
            return
        time.sleep(pause)


def _ended(job: Job, out: Path, submitted: Submitted) -> RunRecord | None:
    """The record of `job` if this array (or someone since) has written it."""
    written = _written(job, out)
    if not written or written == submitted.before.get(job.name):
        return None
    try:
        record = read_record(job.record_path(out))
    except DataError:
        return None
    return record if record.settings_hash == job.settings_hash else None


def _written(job: Job, out: Path) -> int:
    """When the record of `job` was written, in ns; 0 if there is none."""
    try:
        return job.record_path(out).stat().st_mtime_ns
    except OSError:
        return 0


def _refuse_second(spec: Spec, before: Submitted) -> None:
    try:
        states = alive(before.arrays)
    except Silent as problem:
        raise UsageError(str(problem)) from None
    if states:
        tasks = ", ".join(f"{n} {state.lower()}" for state, n in sorted(states.items()))
        queued = f"{_jobs(before.arrays)} of this sweep: still in the queue ({tasks})"
        raise BusyError(f"{queued}; {_how_to(spec, before.arrays)}")


def _say_end(spec: Spec, out: Path, failed: Sequence[tuple[Job, RunRecord]], left: Sequence[Job]) -> None:
    for job, record in failed:
        say(f"failed: {job.key}: {record.error}; its log: {out / record.origin.get('log', '')}")
    if left:
        logs = state_file(out, spec.path).parent
        why = "whose tasks ended before them (time limit, cancelled, lost)"
        say(f"left: {len(left)} runs, {why}; logs: {logs}/*.log; the same command submits them again")


def _jobs(arrays: Sequence[str]) -> str:
    return f"job {arrays[0]}" if len(arrays) == 1 else f"jobs {', '.join(arrays)}"


def _how_to(spec: Spec, arrays: Sequence[str]) -> str:
    return (
        f"watch it: cl-repro sweep {spec.path} --executor slurm --follow (and --out, if given);"
        f" end it: scancel {' '.join(arrays)}"
    )
