"""Which images CI builds today: one by the day, so that all have their turn, and one whose paper changed."""

import datetime
import os
import re
import subprocess
import sys
from collections.abc import Sequence

from checkout import ROOT

# The commit before the change, as the forge tells it; else the first parent of the checkout's own commit.
BASE = "CL_REPRO_CI_BASE"


def due(papers: Sequence[str], changed: Sequence[str], day: datetime.date) -> list[str]:
    """The papers whose images are built on `day`: the one whose turn it is and one of `changed`.

    Of several that changed, one by the day: a change of all papers would take an hour.
    """
    by_day = papers[day.toordinal() % len(papers)]
    if not changed or by_day in changed:
        return [by_day]
    return [by_day, changed[day.toordinal() % len(changed)]]


def due_today(papers: Sequence[str]) -> list[str]:
    """`due` for this checkout; says on stderr what it chose and why."""
    changed = [paper for paper in papers if paper in changed_papers()]
    chosen = due(papers, changed, datetime.datetime.now(datetime.UTC).date())
    also = f"changed: {', '.join(changed)}" if changed else "no paper changed"
    print(f"images due today: {', '.join(chosen)} ({also})", file=sys.stderr, flush=True)
    return chosen


def changed_papers() -> set[str]:
    """The papers that differ from the commit before; empty where git has none (a shallow clone)."""
    for base in (os.environ.get(BASE, ""), "HEAD^"):
        if not base or base.startswith("-"):
            continue
        command = ["git", "-C", str(ROOT), "diff", "--name-only", "-z", base, "HEAD", "--", "papers"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            names = [re.match(r"papers/([^/]+)/", name) for name in done.stdout.split("\0")]
            return {found[1] for found in names if found}
    return set()
