"""`extract_res.py`: the table of all finished runs below a folder, and the last row of an original pickle."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.errors import DataError
from clrepro.io import safe_pickle
from clrepro.io.atomic import write_atomically
from clrepro.records import RunRecord, canonical_json, read_record
from tag_repro.program import Parser, Program

# One header for all experiments of this paper; what does not apply here (TAG's b, eigenvalues) stays empty.
COLUMNS = (
    "experiment", "profile", "dataset", "tasks", "epochs", "method", "variant", "b", "lr", "gamma", "dropout",
    "batch", "mem", "lambda", "seeds", "n", "acc_mean", "acc_std", "forget_mean", "forget_std",
    "forget_signed", "la_mean", "la_std", "bwt", "lambda1", "lambda2", "lambda3", "step_ms", "opt_ms",
    "state_mb", "wall_s", "source", "acc_std1", "forget_std1", "la_std1", "cpu_s",
)  # fmt: skip
SHOWN = {
    "dataset": "data", "method": "method", "variant": "variant", "tasks": "tasks", "n": "n",
    "A": "accuracy %", "F": "forgetting", "LA": "learning accuracy %", "cpu_s": "processor s/run",
}  # fmt: skip


def parse(argv: Sequence[str] | None) -> Path:
    """Returns the folder or file that a command line names."""
    parser = Parser(prog="extract_res.py", description="Tables of finished runs.")
    parser.add_argument("path", type=Path, nargs="?", default=Path("results"),
        help="a --log-dir (default: results), or a .pickle of the original or of ours")  # fmt: skip
    path: Path = parser.parse_args(argv).path
    return path


def run(path: Path) -> None:
    """Print the tables of a folder and write them into it, or print the last row of a pickle.

    Raises: DataError if there is nothing to read.
    """
    if path.suffix == ".pickle":
        print(last_row(path))
        return
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; run a program with --log-dir first")
    rows = summarise(records_below(path))
    if not rows:
        raise DataError(f"{path}: no finished run (record_<run>.json) below it")
    for profile in sorted({row["profile"] for row in rows}):
        own = [row for row in rows if row["profile"] == profile]
        name = "summary" if profile == "full" else f"summary-{profile}"  # never in one table
        shown = f"*{profile}*\n\n{markdown(own)}"
        write_atomically(path / f"{name}.csv", as_csv(own).encode())
        write_atomically(path / f"{name}.md", shown.encode())
        print(shown)


def records_below(folder: Path) -> list[RunRecord]:
    """Returns the records of finished runs; of one setting and seed only one.

    Raises: DataError for a damaged one.
    """
    found = {}
    for path in sorted(folder.rglob("record_*.json")):
        record = read_record(path)
        found[record.settings_hash] = record
    return list(found.values())


def summarise(records: Iterable[RunRecord]) -> list[dict[str, Any]]:
    """Returns a row of `COLUMNS` for every group of runs that differ in the seed alone.

    acc in percent, the others as fractions; std: of the population, std1: of a sample (n - 1).
    """
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        without_seed = {k: v for k, v in record.settings.items() if k != "random_seed"}
        groups[canonical_json([record.profile, record.method, without_seed])].append(record)
    return sorted((row_of(group) for group in groups.values()), key=_order)


def _order(row: dict[str, Any]) -> tuple[str, ...]:
    return row["profile"], row["dataset"], row["variant"], row["method"]


def row_of(group: Sequence[RunRecord]) -> dict[str, Any]:
    """Returns the row of runs with the same settings."""
    group = sorted(group, key=lambda record: record.seed)
    settings = group[0].settings
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    row |= {
        "experiment": "tensorflow", "profile": group[0].profile, "dataset": settings["dataset"],
        "tasks": settings["tasks"], "epochs": 1 if settings["train_single_epoch"] else "",
        "method": group[0].method, "variant": "stable" if settings["decay"] != 1 else "plain",
        "lr": settings["learning_rate"], "gamma": settings["decay"], "dropout": settings["dropout"],
        "batch": settings["batch_size"], "mem": settings["mem_size"], "lambda": settings["synap_stgth"],
        "seeds": " ".join(str(record.seed) for record in group), "n": len(group), "source": "measured",
    }  # fmt: skip
    for key, name, factor in (("A", "acc", 100), ("F", "forget", 1), ("LA", "la", 100)):
        values = factor * np.array([record.metrics.get(key, np.nan) for record in group])
        row[f"{name}_mean"], row[f"{name}_std"] = float(values.mean()), float(values.std())
        row[f"{name}_std1"] = float(values.std(ddof=1)) if len(group) > 1 else ""
    for key, name in (("F_signed", "forget_signed"), ("BWT", "bwt")):
        row[name] = float(np.mean([record.metrics.get(key, np.nan) for record in group]))
    row["step_ms"] = float(np.mean([1000 * r.cost["train_s"] / r.cost["steps"] for r in group]))
    row["wall_s"] = float(np.mean([record.cost["train_s"] + record.cost["eval_s"] for record in group]))
    row["cpu_s"] = float(np.mean([record.cost.get("cpu_s", np.nan) for record in group]))
    return row


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as CSV with `COLUMNS` as its header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    return text.getvalue()


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as a Markdown table, mean ± population deviation (of one run: none)."""
    lines = ["| " + " | ".join(SHOWN.values()) + " |", "|" + "---|" * len(SHOWN)]
    for row in rows:
        cells = row | {"cpu_s": f"{row['cpu_s']:.0f}"}
        for key, name, digits in (("A", "acc", 2), ("F", "forget", 3), ("LA", "la", 2)):
            spread = f" ± {row[f'{name}_std']:.{digits}f}" if row["n"] > 1 else ""
            cells[key] = f"{row[f'{name}_mean']:.{digits}f}{spread}"
        lines.append("| " + " | ".join(str(cells[name]) for name in SHOWN) + " |")
    return "\n".join(lines) + "\n"


def last_row(path: Path) -> str:
    """Returns shape and final accuracies (first run) of a pickle {"mean": runs x tasks x snapshots x tasks}.

    Raises: DataError for any other content; nothing in the file is run.
    """
    content = safe_pickle.load(path, encoding="latin1")
    raw = content.get("mean") if isinstance(content, dict) else None
    good = isinstance(raw, np.ndarray) and raw.dtype.kind in "fiu" and raw.ndim in (3, 4) and raw.size > 0
    if raw is None or not good:
        raise DataError(f"{path}: expected {{'mean': accuracies of runs, tasks, snapshots, tasks}}")
    last = raw[0][-1][-1] if raw.ndim == 4 else raw[0][-1]
    return f"{raw.shape}\n{json.dumps([None if np.isnan(v) else round(float(v), 6) for v in last])}"


MAIN = Program("extract_res.py", parse=parse, run=run)
main = MAIN.main
