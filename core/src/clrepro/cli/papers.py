"""Which papers a command was asked for."""

from pathlib import Path

from clrepro.errors import UsageError
from clrepro.sweep import paper_names


def chosen_papers(home: Path, paper: str) -> list[str]:
    """[`paper`], or all papers of the checkout `home` for "all".  Raises: UsageError if there is none."""
    names = paper_names(home)
    if paper == "all" and names:
        return names
    if paper in names:
        return [paper]
    raise UsageError(f"no paper {paper!r}; there are {', '.join(names) or 'none'} (or 'all')")
