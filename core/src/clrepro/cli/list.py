"""`cl-repro list`: what can be reproduced here."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrepro.io.terminal_text import visible
from clrepro.sweep import Profile, expand, find_home, load_profiles, paper_names


def run() -> int:
    """Print one line per paper and profile.  Returns: 0."""
    home = find_home()
    table = Table(title=_text(f"papers in {home}"), title_justify="left")
    for column in ("paper", "profile", "rows", "runs", "time on one core", "data"):
        table.add_column(column, justify="right" if column in ("rows", "runs") else "left")
    for paper in paper_names(home):
        for profile in load_profiles(home, paper).values():
            n_runs = str(len(expand(profile)))
            words = (paper, profile.name, str(len(profile.rows)), n_runs, estimate(profile))
            table.add_row(*map(_text, (*words, profile.data_note)))
    Console().print(table)
    return 0


def _text(words: str) -> Text:
    """Words as they are: no markup, nothing that steers a terminal."""
    return Text(visible(words))


def estimate(profile: Profile) -> str:
    """The expected time of all runs of `profile` in words, or "?" if a row does not say."""
    jobs = expand(profile)
    if not all(job.seconds for job in jobs):
        return "?"
    return duration(sum(job.seconds for job in jobs))


def duration(seconds: float) -> str:
    """`seconds` in the largest unit that leaves at least 2 of it, e.g. "95 s", "12 min", "3.5 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 360_000 else f"{seconds / 3600:,.0f} h"
