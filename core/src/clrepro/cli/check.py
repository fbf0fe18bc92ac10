"""`cl-repro check`: have the results of the quick profiles changed since their baselines were stored?"""

from collections import Counter
from pathlib import Path

from clrepro.check import baseline_path, compare, read_baseline, table_of, write_baseline
from clrepro.cli.papers import chosen_papers
from clrepro.errors import DataError
from clrepro.io.paths import exists
from clrepro.origin import doubts
from clrepro.records import PACKED, RunRecord, load_many
from clrepro.sweep import expand, find_home, load_profile
from clrepro.sweep.host import say, show

PROFILE = "quick"


def run(paper: str, out: Path, update: bool) -> int:
    """Compare, or with `update` store, the quick records of `paper` (or "all") under `out`.

    Returns: 0 if nothing changed; 1 otherwise.
    Raises: DataError if there is no baseline to compare with or, for `update`, not every run is done.
    """
    home, worst = find_home(), 0
    for name in chosen_papers(home, paper):
        records, failures = fresh_records(home, name, out)
        path = baseline_path(home, name)
        if update:
            if failures:
                (setting, method, seed), why = min(failures.items())
                raise DataError(
                    f"{name}: baseline not changed, {setting}/{method} seed {seed} has no result ({why})"
                )
            write_baseline(path, name, PROFILE, records)
            show(f"{name}: {len(records)} runs are the new baseline in {path}")
            continue
        baseline, origins = read_baseline(path, name)
        for doubt in doubts([record.origin for record in records], origins):
            say(f"{name}: warning: {doubt}")
        verdicts = compare(baseline, table_of(records), failures)
        for verdict in verdicts:
            if verdict.status != "equal":
                show(f"{name}: {verdict}")
        counts = Counter(verdict.status for verdict in verdicts)
        said = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        bad = any(verdict.bad for verdict in verdicts)
        show(f"{name}: {'CHANGED' if bad else 'pass'} ({said})")
        worst |= bad
    return worst


def fresh_records(
    home: Path, paper: str, out: Path
) -> tuple[list[RunRecord], dict[tuple[str, str, int], str]]:
    """The good quick records that the present profile asks for, and for each that is not there the reason.

    Raises: DataError if their folder may not be looked at.
    """
    folder = out / paper / PROFILE
    found, problems = load_many(folder) if exists(folder / "records") or exists(folder / PACKED) else ([], [])
    by_key: dict[tuple[str, str, int], RunRecord] = {}
    for each in found:  # a run's own file comes before packed ones, and counts
        by_key.setdefault((each.setting, each.method, each.seed), each)
    good: list[RunRecord] = []
    failures: dict[tuple[str, str, int], str] = {}
    for job in expand(load_profile(home, paper, PROFILE)):
        key = (job.setting, job.method, job.seed)
        record = by_key.get(key)
        if record is None:
            corrupt = [text for text in problems if text.startswith(str(job.record_path(out)))]
            failures[key] = corrupt[0] if corrupt else f"run: cl-repro reproduce {paper}"
        elif record.status != "done":
            failures[key] = record.error or record.status
        elif record.command != job.command:
            failures[key] = "its record was made by another command line; reproduce it again"
        else:
            good.append(record)
    return good, failures
