"""Which rows a method has: its own defaults, and options that a stated rule has chosen."""

from clrepro.arena.methods import Entry
from clrepro.arena.runs import Row
from clrepro.arena.streams import Plan

ROWS = ("default", "tuned", "all")


def chosen(entry: Entry, plan: Plan, which: str = "default") -> list[Row]:
    """Returns a method's rows on a stream.  Args: which — one of `ROWS`."""
    return [Row(entry)]
