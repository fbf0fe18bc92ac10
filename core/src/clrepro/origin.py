"""Which code made a record, and on what: commit, uncommitted changes, processor, threads."""

import functools
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

COMMIT_VARIABLE = "CL_REPRO_COMMIT"  # set in an image, which has no .git
_CODE = ("core/src", "papers/*/src", "papers/*/profiles.toml", "pyproject.toml", "poetry.lock")
_PATIENCE_S = 20.0


def origin() -> dict[str, str]:
    """What a record says of its making; what cannot be found out is left out.

    Returns: {"commit": 40 hex digits, "dirty": "yes" or "no" (uncommitted changes of code, not of results or
    texts), "cpu": the processor's name, "threads": threads that a numeric library may use}.
    """
    return {**_code(), "cpu": processor(), "threads": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))}


def in_words(origins: Iterable[Mapping[str, str]]) -> str:
    """Words for the report, e.g. "commit 864354a8d2, Intel Xeon, 1 thread"; "" if nothing is known."""
    known = [origin for origin in origins if origin]
    dirty = {origin.get("commit") for origin in known if origin.get("dirty") == "yes"}
    note = {name: " with uncommitted changes" if name in dirty else "" for name in _all(known, "commit")}
    commits = [name[:10] + words for name, words in note.items()]
    parts = [f"commit {' or '.join(commits)}"] if commits else []
    parts += _all(known, "cpu")
    parts += [f"{n} thread{'' if n == '1' else 's'}" for n in _all(known, "threads")]
    return ", ".join(parts)


def doubts(fresh: Iterable[Mapping[str, str]], stored: Iterable[Mapping[str, str]]) -> list[str]:
    """Why fresh records may differ from a stored baseline, or from one another, without a fault of the code.

    Args: fresh, stored — origins of the records of each side; those without one (older records) say nothing.
    Returns: one line per doubt, none if all is as it should be.
    """
    fresh, stored = list(fresh), list(stored)
    lines = []
    if len(commits := _all(fresh, "commit")) > 1:
        names = ", ".join(name[:10] for name in commits)
        lines.append(f"records were made by {len(commits)} commits: {names}")
    here = _code().get("commit")
    if here and commits and here not in commits:
        lines.append(f"records were made by {commits[0][:10]}, the code here is {here[:10]}; reproduce again")
    if "yes" in _all(fresh, "dirty"):
        lines.append("records were made by code with uncommitted changes")
    for name, what in (("cpu", "processor"), ("threads", "number of threads")):
        if len(values := _all([*stored, *fresh], name)) > 1:
            lines.append(f"records and baseline are of more than one {what}: {', '.join(values)}")
    return lines


def _all(origins: Iterable[Mapping[str, str]], name: str) -> list[str]:
    """The different values of `name`, in the order of first sight."""
    return list(dict.fromkeys(origin[name] for origin in origins if name in origin))


@functools.cache
def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


@functools.cache  # the code that runs is the one that was imported, whatever is committed meanwhile
def _code() -> dict[str, str]:
    if given := os.environ.get(COMMIT_VARIABLE):
        return {"commit": given}
    home = Path(__file__).resolve().parents[3]  # the checkout of this very package, if it lies in one
    commit = _git(home, "rev-parse", "HEAD")
    if not (home / ".git").exists() or not commit:
        return {}
    changed = _git(home, "status", "--porcelain", "--", *_CODE)
    return {"commit": commit} if changed is None else {"commit": commit, "dirty": "yes" if changed else "no"}


def _git(home: Path, *words: str) -> str | None:
    """What git answers to `words` in the folder `home`; None if it cannot answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(home), *words], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
