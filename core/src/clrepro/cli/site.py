"""The report's site from what a checkout holds: papers, tables, measurements, when records were made."""

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from clrepro.claims import load_claims
from clrepro.cli.list import estimate
from clrepro.errors import DataError
from clrepro.io.paths import is_file
from clrepro.io.regular_files import read_regular_text
from clrepro.records import MAX_BYTES, PACKED, record_files
from clrepro.report.arena import ArenaPage
from clrepro.report.bench_results import Bench, Faults, read_bench, read_faults
from clrepro.report.page import Offer, PaperFacts
from clrepro.report.site import Measured, write_site
from clrepro.report.tables import Table
from clrepro.sweep import expand, load_profiles, paper_names
from clrepro.sweep.host import say

GIT_TIMEOUT_S = 10


def write_report(
    home: Path, out: Path, tables: Sequence[Table], folders: Sequence[Path], arena: ArenaPage | None = None
) -> Path:
    """Write the site below `out` and say on stderr which file had to be left out.

    Args: folders — where the tables' records were looked for; arena — its page, if any.
    Returns: `<out>/report.html`.  Raises: DataError if it cannot be written.
    """
    return write_site(
        out,
        tables,
        list(_facts(home)),
        made_when(home, folders),
        _measured([out, home / "docs" / "measured"]),
        arena,
    )


def _facts(home: Path) -> Iterator[PaperFacts]:
    """The facts of each paper; one whose files are wrong must not cost the others their report."""
    for name in paper_names(home):
        try:
            yield paper_facts(home, name)
        except DataError as problem:
            say(f"left out: {problem}")


def paper_facts(home: Path, name: str) -> PaperFacts:
    """What the checkout says of a paper: title, metrics and notes, profiles to run, README.

    Raises: DataError if its profiles or claims are wrong.
    """
    folder = home / "papers" / name
    offers = [
        Offer(each.name, len(each.rows), len(expand(each)), estimate(each), each.data_note)
        for each in load_profiles(home, name).values()
    ]
    try:
        text = read_regular_text(folder / "README.md", MAX_BYTES)
    except DataError:
        text = ""
    path = folder / "claims.toml"
    if not is_file(path):
        return PaperFacts(name, name, {}, (), offers, text)
    claims = load_claims(path)
    return PaperFacts(
        name, claims.title, claims.metrics, claims.notes, offers, text, claims.name, claims.place
    )


def made_when(home: Path, folders: Iterable[Path]) -> dict[tuple[str, str], str]:
    """(paper, profile) to when its records were made, in words.

    Records that came with the checkout have the day of the commit that last changed their folder, for a
    checkout gives its files new times; other records have the days their files were written.
    """
    written: dict[tuple[str, str], set[date]] = {}
    shipped: dict[tuple[str, str], set[Path]] = {}
    for folder in folders:
        for path in record_files(folder.resolve())[0]:
            if (found := _owner(path)) is None:
                continue
            key, records = found
            if records.is_relative_to(home / "papers"):
                shipped.setdefault(key, set()).add(records)
            else:
                written.setdefault(key, set()).add(_day(path.lstat().st_mtime))
    texts: dict[tuple[str, str], str] = {}
    for key in written.keys() | shipped.keys():
        committed = {day for folder in shipped.get(key, ()) if (day := _commit_day(home, folder))}
        parts = [_days("written", written.get(key, set())), _days("committed", committed)]
        texts[key] = " and ".join(part for part in parts if part)
    return texts


def _owner(path: Path) -> tuple[tuple[str, str], Path] | None:
    """((paper, profile), where its records are) of a file `…/<paper>/[results/]<profile>/records/…` or
    `…/<paper>/[results/]<profile>/records.jsonl`.
    """
    parts = path.parts
    name = PACKED if path.name == PACKED else "records"
    if name not in parts:
        return None
    at = len(parts) - 1 - parts[::-1].index(name)
    before = [part for part in parts[:at] if part != "results"]
    return None if len(before) < 2 else ((before[-2], before[-1]), Path(*parts[: at + 1]))


def _day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()


def _days(word: str, days: set[date]) -> str:
    if not days:
        return ""
    first, last = (f"{day.day} {day:%B %Y}" for day in (min(days), max(days)))
    return f"{word} {first}" if first == last else f"{word} {first} to {last}"


def _commit_day(home: Path, folder: Path) -> date | None:
    """The day of the last commit that changed `folder`; None without git or outside a repository."""
    command = ["git", "-C", str(home), "log", "-1", "--format=%ct", "--", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = done.stdout.strip()
    return _day(int(text)) if done.returncode == 0 and text.isdecimal() else None


def _measured(folders: Sequence[Path]) -> Measured:
    """The first bench.json and faults.json in these folders; what is wrong with one is said once."""
    bench, bench_problem = None, ""
    faults, faults_problem = None, ""
    if path := _first(folders, "bench.json"):
        bench, bench_problem = _bench(path)
    if path := _first(folders, "faults.json"):
        faults, faults_problem = _faults(path)
    for problem in filter(None, (bench_problem, faults_problem)):
        say(f"left out: {problem}")
    return Measured(bench, faults, bench_problem, faults_problem)


def _first(folders: Sequence[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if is_file(folder / name)), None)


def _bench(path: Path) -> tuple[Bench | None, str]:
    try:
        return read_bench(path), ""
    except DataError as problem:
        return None, str(problem)


def _faults(path: Path) -> tuple[Faults | None, str]:
    try:
        return read_faults(path), ""
    except DataError as problem:
        return None, str(problem)
