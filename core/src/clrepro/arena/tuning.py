"""Tuned rows: K random draws from a method's SPACE, one of them chosen by a stated rule.

first-tasks  the first three tasks of the stream itself, measured on validation images after the third
transfer     the same kind of stream made of other images, all its tasks, measured on their validation images
Draws, and the seed they are tried with, are the same for every method; that seed is in no table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clrepro.arena.loop import MAIN
from clrepro.arena.methods import Entry
from clrepro.arena.runs import BUDGET_S, Row, jobs_of
from clrepro.arena.streams import Plan
from clrepro.records import RunRecord
from clrepro.seeding import Seeds
from clrepro.sweep import Job

K = 20  # draws; rows of fewer are not comparable
SEED = 1000  # of the trials: far from the tables' 0, 1, 2, ...
FIRST = 3
OTHER = {"digits": "fashion", "mnist": "fashion", "fashion": "notmnist", "notmnist": "fashion"}
RULES = ("first-tasks", "transfer")
PROFILE = "trials"


@dataclass(frozen=True)
class Choice:
    """What a rule has chosen: options, the value they had, and of how many finished and drawn trials."""

    options: Mapping[str, Any]
    value: float
    finished: int
    drawn: int


def draws(entry: Entry, k: int = K) -> list[dict[str, Any]]:
    """Returns k draws from a method's SPACE: ranges (low, high, "log") log-uniformly, others evenly.

    No draw for a method without a SPACE.
    """
    space = getattr(entry.kind, "SPACE", {})
    rng = Seeds(SEED)[f"draws/{entry.name}"]
    return [{name: _draw(values, rng) for name, values in space.items()} for _ in range(k if space else 0)]


def _draw(values: Sequence[Any], rng: np.random.Generator) -> Any:
    if len(values) == 3 and values[2] == "log":
        low, high = np.log(values[0]), np.log(values[1])
        return float(f"{np.exp(rng.uniform(low, high)):.4g}")
    return values[int(rng.integers(len(values)))]


def trial_plan(plan: Plan, rule: str) -> Plan:
    """Returns the stream that a rule tries draws on."""
    if rule == "transfer":
        return replace(plan, data=OTHER[plan.data], measured_on="validation")
    return replace(plan, first=min(FIRST, plan.n_tasks), measured_on="validation")


def trials(entry: Entry, plan: Plan, rule: str, k: int = K, budget_s: float = BUDGET_S) -> list[Job]:
    """Returns the runs of a method's draws under a rule."""
    rows = [Row(entry, options, f"draw{number:02d}") for number, options in enumerate(draws(entry, k))]
    return jobs_of(PROFILE, trial_plan(plan, rule), rows, [SEED], budget_s=budget_s)


def choose(jobs: Sequence[Job], records: Sequence[RunRecord]) -> Choice | None:
    """Returns the draw with the highest final accuracy, the earlier of equals; None if none has finished."""
    done = {record.method: record for record in records if record.status == "done"}
    tried = [done[job.method] for job in jobs if job.method in done]
    if not tried:
        return None
    best = max(tried, key=lambda record: record.metrics[MAIN])  # the first of equals
    return Choice(dict(best.settings["options"]), best.metrics[MAIN], len(tried), len(jobs))
