"""What the campaigns count, and how it is shown and stored."""

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

SCHEMA = 1
SHOWN = 3  # failing cases of a row that are printed at once


@dataclass
class Row:
    """One kind of fault: cases tried, survived, lost (a result gone, wrong or doubled, or no clear line), and
    executed (code from a file ran).
    """

    group: str
    name: str
    tried: int = 0
    survived: int = 0
    lost: int = 0
    executed: int = 0
    seconds: float = 0.0
    note: str = ""

    def add(self, problem: str = "", *, executed: bool = False, case: str = "") -> None:
        """Count one case: survived if there is no `problem`.  Args: case — how to repeat it."""
        self.tried += 1
        self.executed += executed
        if not problem and not executed:
            self.survived += 1
            return
        self.lost += bool(problem) and not executed
        if self.lost + self.executed <= SHOWN:
            what = "EXECUTED" if executed else "lost"
            print(f"{what}: {self.group}/{self.name} {case}: {problem}", file=sys.stderr, flush=True)

    @property
    def bad(self) -> bool:
        """Whether something was lost or executed."""
        return self.lost + self.executed > 0


@dataclass
class Tally:
    """All rows of one session."""

    rows: list[Row] = field(default_factory=list)

    @contextmanager
    def row(self, group: str, name: str) -> Iterator[Row]:
        """A row to count into; its seconds are those of the block, and it stays if that is interrupted."""
        row = Row(group, name)
        self.rows.append(row)
        began = time.monotonic()
        try:
            yield row
        finally:
            row.seconds = round(time.monotonic() - began, 2)
            print(line(row), flush=True)

    @property
    def bad(self) -> bool:
        """Whether any row is."""
        return any(row.bad for row in self.rows)

    def document(self) -> dict[str, object]:
        """The content of results/faults.json."""
        machine = {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cores": str(os.cpu_count()),
        }
        made = datetime.now(UTC).isoformat(timespec="seconds")
        return {
            "schema": SCHEMA,
            "machine": machine,
            "made": made,
            "rows": [asdict(row) for row in self.rows],
        }

    def write(self, path: Path) -> None:
        """Store the document."""
        from clrepro.io.atomic import make_folder, write_atomically

        make_folder(path.parent)
        write_atomically(path, (json.dumps(self.document(), indent=1) + "\n").encode())

    def table(self) -> str:
        """All rows and their sums, as text."""
        total = Row("", "all")
        for row in self.rows:
            for name in ("tried", "survived", "lost", "executed", "seconds"):
                setattr(total, name, getattr(total, name) + getattr(row, name))
        head = f"{'group':11} {'fault':36} {'tried':>7} {'survived':>8} {'lost':>5} {'executed':>8} {'s':>7}"
        return "\n".join([head, *map(line, self.rows), "-" * len(head), line(total)])


def line(row: Row) -> str:
    """One line of the table."""
    counts = f"{row.tried:7d} {row.survived:8d} {row.lost:5d} {row.executed:8d} {row.seconds:7.1f}"
    return f"{row.group:11} {row.name:36} {counts}  {row.note}".rstrip()
