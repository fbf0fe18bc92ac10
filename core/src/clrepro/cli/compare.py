"""`cl-repro compare`: every method of the papers, and yours, on the same streams; verdict, table, page."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.arena import methods, runs
from clrepro.arena.choices import Choices, known_choices, not_comparable, rows_of
from clrepro.arena.environments import python_for
from clrepro.arena.methods import Entry
from clrepro.arena.runs import Row
from clrepro.arena.streams import ArenaStream, Plan, plan
from clrepro.cli.running import n_cores, run_jobs, stop_on_signals
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.records import RunRecord, read_packed
from clrepro.report.arena_table import StreamTable, stream_table
from clrepro.report.tables import duration
from clrepro.sweep import Executor, Folder, Job, Processes, Serial, Summary, sweep_lock
from clrepro.sweep.host import say, show
from clrepro.sweep.jobs import ARENA
from clrepro.sweep.spec import Share

AGAINST = "er"  # the baseline unless another one, or an own method, is named
STREAMS = ("permutations", "rotations")


@dataclass(frozen=True)
class Field:
    """Who meets whom where: streams, rows of the tables, jobs to run, records that are there already."""

    plans: list[Plan]
    rows: list[Row]
    absent: list[str]
    jobs: list[Job]
    shipped: list[RunRecord]
    subject: str


def run(action: str | None, **words: Any) -> int:
    """Run the comparison, or one of its other actions.

    Returns: the exit code.  Raises: UsageError, DataError, BusyError.
    """
    if action is not None:
        return int(importlib.import_module("clrepro.cli.compare_actions").ACTIONS[action](**words))
    return _compare(**words)


def _compare(
    stream: list[str] | None, methods: list[str] | None, method: list[str] | None, seeds: int | None,
    jobs: int | None, out: Path, profile: str, dry_run: bool, against: str | None, fresh: bool,
    executor: str, address: str | None, budget: float, rows: str, records: Path | None, **sizes: int | None,
) -> int:  # fmt: skip
    plans = [plan(name, profile, **sizes) for name in dict.fromkeys(stream or STREAMS)]
    for each in plans:
        ArenaStream(each, 0)  # what cannot be is said before anything runs
    own = [_own(words, dry_run) for words in method or []]
    entries, absent = _entries(methods, own, profile)
    choices, known = known_choices(out), _known_records(records, bool(own), fresh, plans)
    if rows != "default":
        absent += [line for each in plans for line in not_comparable(choices, each)]
    field = _field(profile, plans, entries, absent, own, seeds or runs.N_SEEDS[profile], against,
                   budget, rows, choices, known)  # fmt: skip
    if dry_run:
        return _show_jobs(field)
    n_jobs = jobs or n_cores()
    make_folder(out)
    store = Folder(out)

    def make_executor(n_left: int) -> Executor:
        if executor == "serial":
            return Serial(store)
        if executor == "ray":
            from clrepro.sweep.cluster import Ray

            return Ray(store, lambda paper: Share(), address)
        return Processes(store, min(n_jobs, n_left))

    with stop_on_signals() as exit_code, sweep_lock(out, ARENA, profile):
        try:
            done = run_jobs(f"arena {profile}", field.jobs, store, make_executor)
        except KeyboardInterrupt:
            say("stopped; finished runs are kept, the same command goes on from here")
            return exit_code()
    return _finish(field, done, out, profile, own)


def _own(words: str, dry_run: bool) -> Entry:
    """The user's method, after a look whether it keeps the rules."""
    from clrepro.arena.validate import validated

    entry = methods.from_file(words)
    if entry.name in methods.known():
        raise UsageError(f"--method {words}: {entry.name} is a method of ours; give the class another name")
    if not dry_run:
        validated(entry.kind, entry.name)
    return entry


def _entries(
    names: list[str] | None, own: Sequence[Entry], profile: str
) -> tuple[list[Entry], list[str]]:
    """The methods that take part, and a line for each that is left out."""
    every = names == ["all"] or (not names and profile != "quick")
    wanted = methods.known().values() if every or not names else map(methods.find, dict.fromkeys(names))
    entries, absent, foreign = [], [], []
    for entry in wanted:
        try:
            python = python_for(entry)
        except UsageError as problem:
            if names and not every:
                raise
            absent.append(f"{entry.name}: not here ({problem})")
            continue
        if names or every or python == sys.executable:
            entries.append(entry)
        else:
            foreign.append(entry.name)
    if foreign:
        left = ", ".join(foreign)
        absent.append(f"left out, as they need another Python: {left}; --methods all takes them too")
    return [*own, *entries], absent


def _known_records(path: Path | None, own: bool, fresh: bool, plans: list[Plan]) -> list[RunRecord]:
    """Records of a file, refused if they are of other streams; beside an own method those shipped with us."""
    if path is not None:
        found, problems = read_packed(path)
        if problems:
            raise DataError(problems[0])
        runs.check_same(found, plans)
        return found
    return runs.shipped() if own and not fresh else []


def _field(
    profile: str, plans: list[Plan], entries: list[Entry], absent: list[str], own: Sequence[Entry],
    n_seeds: int, against: str | None, budget: float, which: str, choices: Choices,
    known_records: list[RunRecord],
) -> Field:  # fmt: skip
    subject = against or (own[0].name if own else AGAINST)
    seconds = _expected(runs.shipped())
    rows: dict[str, Row] = {}
    jobs = []
    for each in plans:
        here = [row for entry in entries for row in rows_of(entry, each, which, choices)]
        rows |= {row.name: row for row in here}
        jobs += runs.jobs_of(profile, each, here, range(n_seeds), budget_s=budget, seconds=seconds)
    there = runs.matching(jobs, known_records)
    if there:
        keys = {(record.setting, record.method, record.seed) for record in there}
        jobs = [job for job in jobs if (job.setting, job.method, job.seed) not in keys]
    if subject not in rows:
        raise UsageError(f"--against {subject!r}: not among the methods here: {', '.join(rows)}")
    return Field(plans, list(rows.values()), absent, jobs, there, subject)


def _expected(records: Sequence[RunRecord]) -> dict[str, float]:
    """Mean processor seconds of a run, by row, as far as records tell."""
    found: dict[str, list[float]] = {}
    for record in records:
        if "cpu_s" in record.cost:
            found.setdefault(record.method, []).append(record.cost["cpu_s"])
    return {name: sum(values) / len(values) for name, values in found.items()}


def _show_jobs(field: Field) -> int:
    for job in field.jobs:
        show(f"{job.name}{f'  about {job.seconds:.0f} s' if job.seconds else ''}")
    unknown = sum(not job.seconds for job in field.jobs)
    hours = sum(job.seconds for job in field.jobs) / 3600
    show(
        f"{len(field.jobs)} runs, {duration(hours)} of processor time"
        + (f" and {unknown} runs of unknown length" if unknown else "")
        + (f"; {len(field.shipped)} records are here already" if field.shipped else "")
    )
    for line in field.absent:
        say(line)
    return 0


def _finish(field: Field, done: Summary, out: Path, profile: str, own: Sequence[Entry]) -> int:
    """Print verdicts and tables, keep them beside the records, write the page."""
    from clrepro.cli.arena_page import write_arena

    records = [*runs.found(field.jobs, out), *field.shipped]
    folder = make_folder(out / ARENA / profile)
    tables = [stream_table(each.name, records, field.subject) for each in field.plans]
    for table in tables:
        show(table.markdown())
        write_table(table, folder)
    for line in field.absent:
        say(line)
    _show_tracebacks(records, field.jobs, own, out)
    say(f"page: {write_arena(out, field.subject, records)}")
    ours = {entry.name for entry in own}
    return 1 if done.lost or done.not_started or any(job.method in ours for job, _ in done.failed) else 0


def write_table(table: StreamTable, folder: Path) -> None:
    """Write a stream's table as Markdown, CSV and LaTeX to a folder."""
    stem = table.stream.replace("/", "_")
    for suffix, text in (("md", table.markdown()), ("csv", table.csv()), ("tex", table.latex())):
        write_atomically(folder / f"{stem}.{suffix}", text.encode())


def _show_tracebacks(
    records: Sequence[RunRecord], jobs: Sequence[Job], own: Sequence[Entry], out: Path
) -> None:
    """Say where and why the user's own method has failed, once for each."""
    for entry in own:
        bad = next((r for r in records if r.method == entry.name and r.status == "failed"), None)
        if bad is None:
            continue
        log = out / ARENA / bad.profile / "work" / bad.setting.replace("/", "__") / bad.method
        path = log / f"seed{bad.seed}" / "log.txt"
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        trace = text[text.rfind("Traceback") :] if "Traceback" in text else ""
        say(f"{entry.name} failed: {bad.error}\n{trace}")
