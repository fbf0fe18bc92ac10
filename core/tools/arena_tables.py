"""What the checkout's arena/ holds, made anew from its records: tables, and what the package ships.

    python core/tools/arena_tables.py

Reads arena/<profile>/records.jsonl and arena/choices.json; writes each stream's table as Markdown, CSV and
LaTeX beside the records, and clrepro/arena/baselines.jsonl (the records without their matrices) and
choices.json into the package.
"""

import sys
from dataclasses import replace
from pathlib import Path

from clrepro.arena.choices import FILE, read_choices, write_choices
from clrepro.arena.runs import SHIPPED
from clrepro.cli.compare import AGAINST, write_table
from clrepro.io.atomic import write_atomically
from clrepro.records import PACKED, RunRecord, read_packed
from clrepro.report.arena_table import stream_table

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "core" / "src" / "clrepro" / "arena"
MOST_BYTES = 10**6


def main() -> int:
    """Write all files.  Returns: the exit code."""
    shipped: list[RunRecord] = []
    for path in sorted((ROOT / "arena").glob(f"*/{PACKED}")):
        records, problems = read_packed(path)
        if problems:
            print(f"error: {problems[0]}", file=sys.stderr)
            return 1
        if path.parent.name == "trials":
            continue
        shipped += [replace(record, series={}, data={}) for record in records]
        for stream in dict.fromkeys(record.setting for record in records):
            write_table(stream_table(stream, records, AGAINST), path.parent)
    text = "".join(f"{record.to_line()}\n" for record in shipped).encode()
    if len(text) > MOST_BYTES:
        print(f"error: {len(text)} bytes to ship, at most {MOST_BYTES}", file=sys.stderr)
        return 1
    if shipped:
        write_atomically(PACKAGE / SHIPPED, text)
    if choices := read_choices(ROOT / "arena" / FILE):
        write_choices(PACKAGE / FILE, choices)
    print(f"{len(shipped)} records, {len(text)} bytes shipped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
