"""From streams, methods and seeds to the jobs of a sweep, and back to their records."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from clrepro.arena import methods
from clrepro.arena.methods import Entry
from clrepro.arena.program import Run
from clrepro.arena.spec import PROTOCOL
from clrepro.arena.streams import Plan
from clrepro.errors import DataError
from clrepro.records import RunRecord, check_name, read_packed, read_record
from clrepro.sweep import Job
from clrepro.sweep.jobs import ARENA

SHIPPED = "baselines.jsonl"
N_SEEDS = {"quick": 3, "full": 10}
BUDGET_S = 3600.0


@dataclass(frozen=True)
class Row:
    """A row of the table: a method with its own defaults, or with options that a rule has chosen.

    rule — "" for the default row, else the rule's name, which is added to the method's.
    """

    entry: Entry
    options: Mapping[str, Any] = field(default_factory=dict)
    rule: str = ""

    @property
    def name(self) -> str:
        """Its name in tables and records."""
        return f"{self.entry.name}+{self.rule}" if self.rule else self.entry.name

    def all_options(self) -> dict[str, Any]:
        """Returns its options, and the method's own defaults for the rest: records shall say them all."""
        parameters = inspect.signature(self.entry.kind).parameters.values()
        defaults = {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}
        given = {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty}
        return given | dict(self.options)


def jobs_of(
    profile: str,
    plan: Plan,
    rows: Sequence[Row],
    seeds: Iterable[int],
    *,
    budget_s: float = BUDGET_S,
    seconds: Mapping[str, float] | None = None,
) -> list[Job]:
    """Returns the runs of some rows on a stream.  Args: seconds — expected ones by row name."""
    jobs = []
    seeds = list(seeds)
    for row in rows:
        check_name(row.name, f"method {row.name!r}:")
        own = ":" if not row.entry.paper and Path(row.entry.source).suffix == ".py" else ""
        method = f"{row.entry.source}:{row.entry.name}" if own else row.entry.name
        digest = methods.digest(Path(row.entry.source)) if own else ""
        for seed in seeds:
            run = Run(method, plan, seed, row.all_options(), digest, budget_s)
            expected = (seconds or {}).get(row.name, 0.0)
            jobs.append(Job(ARENA, profile, plan.name, row.name, seed, run.words(), "", expected))
    return jobs


def found(jobs: Iterable[Job], out: Path) -> list[RunRecord]:
    """Returns the records of these very jobs below `out`, those of failed runs too."""
    records = []
    for job in jobs:
        try:
            record = read_record(job.record_path(out))
        except DataError:
            continue
        if record.settings_hash == job.settings_hash:
            records.append(record)
    return records


def shipped() -> list[RunRecord]:
    """Returns the records that come with this package, without their matrices."""
    path = Path(str(files("clrepro.arena").joinpath(SHIPPED)))
    if not path.is_file():
        return []
    records, problems = read_packed(path)
    if problems:
        raise DataError(problems[0])
    return records


def matching(jobs: Sequence[Job], records: Iterable[RunRecord]) -> list[RunRecord]:
    """Returns those records that are of these jobs: same stream, protocol, options and seed."""
    wanted = {(job.setting, job.method, job.seed): job.settings_hash for job in jobs}
    return [r for r in records if wanted.get((r.setting, r.method, r.seed)) == r.settings_hash]


def check_same(records: Iterable[RunRecord], plans: Sequence[Plan]) -> None:
    """See that records are of these streams and this protocol.  Raises: DataError naming the first other."""
    streams = {plan.name: plan.fingerprint() for plan in plans}
    for record in records:
        if record.paper != ARENA:
            raise DataError(f"{record.key}: is a record of {record.paper}, not of the arena")
        protocol = record.settings.get("protocol")
        if record.status == "done" and protocol != PROTOCOL:
            raise DataError(f"{record.key}: protocol {protocol}, this version has {PROTOCOL}; run it anew")
        if record.setting not in streams:
            raise DataError(f"{record.key}: its stream is not {' or '.join(streams)}")
        if record.status == "done" and record.settings.get("stream") != streams[record.setting]:
            raise DataError(f"{record.key}: its stream has other sizes than {record.setting} here")
