"""Campaign of coverage-guided fuzzing: so many seconds for each reader, in a process of its own."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from faults.reader_case import Subject
from faults.readers import chosen
from faults.results import Row, Tally

TARGET = Path(__file__).with_name("fuzz") / "target.py"
UNITS = re.compile(r"number_of_executed_units:\s*(\d+)")
SLOWEST, MEMORY_MB = 20, 4096  # of one file


def fuzz(
    tally: Tally, *, seconds: int, seed: int, papers: list[str] | None, glob: str, python: str, quick: bool
) -> None:
    """Fuzz every reader.  Args: python — an interpreter with atheris, "" for this one."""
    if not python and importlib.util.find_spec("atheris") is None:
        print("left out: fuzz (atheris is not installed: pip install atheris)", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name:
        for subject in chosen(papers, glob, quick, seed):
            with tally.row("fuzz", subject.name) as row:
                _one(row, subject, Path(name), seconds, seed, python or sys.executable)


def _one(row: Row, subject: Subject, folder: Path, seconds: int, seed: int, python: str) -> None:
    words = [
        subject.name, f"-max_total_time={seconds}", f"-seed={seed + 1}", f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={folder}/",
    ]  # fmt: skip
    done = subprocess.run(
        [python, str(TARGET), *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        errors="replace", env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=seconds + 300, check=False,
    )  # fmt: skip
    found = UNITS.search(done.stderr)
    units = int(found.group(1)) if found else 0
    row.tried = row.survived = units
    if done.returncode == 0 and found:
        return
    kept = sorted(path for path in folder.iterdir() if path.name.startswith(("crash-", "timeout-", "oom-")))
    reasons = [
        line for line in done.stderr.splitlines() if re.match(r"(\w+\.)*\w*(Error|Exception)\b|==\d+==", line)
    ]
    reason = (reasons or done.stderr.strip().splitlines() or ["no message"])[0]
    shown = kept[0].read_bytes()[:120] if kept else b""
    row.survived = max(0, units - 1)
    row.tried = max(units, 1) - 1
    row.add(reason[:300], case=f"code {done.returncode}, {shown!r}")
    for path in kept:
        path.replace(Path(tempfile.gettempdir()) / path.name)
        row.note = f"kept: {tempfile.gettempdir()}/{path.name}"
