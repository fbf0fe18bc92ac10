"""The tables made from records: what `reproduce` ends with."""

import statistics
from collections import defaultdict
from pathlib import Path

from clrepro.records import RunRecord
from clrepro.runs import write_atomically
from clrepro.sweep import Profile


def print_table(profile: Profile, records: list[RunRecord], folder: Path) -> None:
    """Print the means over seeds of `records` and write them as table.md and table.csv into `folder`."""
    rows: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        rows[record.setting, record.method].append(record)
    metrics = sorted({name for record in records for name in record.metrics})
    cells = [["setting", "method", "seeds", *metrics]]
    for (setting, method), runs in rows.items():
        means = [statistics.fmean(run.metrics.get(name, float("nan")) for run in runs) for name in metrics]
        cells.append([setting, method, str(len(runs)), *(f"{100 * mean:.2f}" for mean in means)])
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    lines.insert(1, "|" + "---|" * len(cells[0]))
    write_atomically(folder / "table.md", ("\n".join(lines) + "\n").encode())
    write_atomically(folder / "table.csv", ("\n".join(",".join(row) for row in cells) + "\n").encode())
    print("\n".join(lines))


def write_outputs(home: Path, out: Path, papers: list[str], profile: str) -> None:
    """Until the report lands there is no page to write."""
