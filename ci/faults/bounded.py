"""Command lines and sweep files that ask for more than any machine does: one line, within a second of
processor time and 200 MB, before any work.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from faults.commands import SOURCES
from faults.results import Tally
from faults.store import tiny_paper

SECONDS, MEGABYTES = 1.0, 200.0
START = """
import sys, time
import clrepro.cli.reproduce, clrepro.cli.sweep
from clrepro.cli import main
began = time.process_time()
try:
    code = main(sys.argv[1:])
except SystemExit as stopped:
    code = stopped.code
# Not getrusage: its peak is that of the process that forked this one, if it was larger.
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
print(time.process_time() - began, int(peak) / 1024, code)
"""
PART = '[[profile]]\npaper = "tiny"\nprofile = "quick"\nseeds = {n}\n'
GRID = """name = "g"
[[row]]
paper = "tiny"
setting = "s{{a}}-{{b}}"
method = "m{{c}}-{{d}}"
command = "main.py --out {{artefacts}} --seed {{seed}}"
grid = {{ a = {n}, b = {n}, c = {n}, d = {n} }}
"""
CALLS = {
    "--seeds of 17 digits": ["reproduce", "tiny", "--seeds", "9" * 17],
    "--seeds of 5000 digits": ["reproduce", "tiny", "--seeds", "9" * 5000],
    "--jobs": ["reproduce", "tiny", "--jobs", "9" * 9],
    "--shard": ["sweep", PART.format(n=1), "--shard", f"0/{'9' * 12}"],
    "seeds of 10^12": ["sweep", PART.format(n=10**12)],
    "seeds of 5000 digits": ["sweep", PART.format(n="9" * 5000)],
    "a grid of 10^8": ["sweep", GRID.format(n=list(range(100)))],
    "a grid of 10^16": ["sweep", GRID.format(n=list(range(10**4)))],
    "a name of 5000 letters": ["sweep", GRID.format(n=[1]).replace('"s', '"' + "s" * 5000)],
}


def bounded_work(tally: Tally) -> None:
    """Every call; lost is a traceback, an exit code other than 1 and 2, and more time or memory."""
    most_s = most_mb = 0.0
    with tally.row("bounded", "command lines and sweep files") as row, tempfile.TemporaryDirectory() as name:
        home = Path(name)
        package = tiny_paper(home)
        for word, words in CALLS.items():
            if words[0] == "sweep":
                (home / "s.toml").write_text(words[1])
                words = ["sweep", str(home / "s.toml"), *words[2:]]
            problem, seconds, megabytes = _one(words, home, str(package))
            most_s, most_mb = max(most_s, seconds), max(most_mb, megabytes)
            row.add(problem, case=word)
        row.note = f"at most {most_s:.2f} s and {most_mb:.0f} MB"


def _one(words: list[str], home: Path, package: str) -> tuple[str, float, float]:
    """What is wrong, processor seconds, megabytes."""
    path = os.pathsep.join([*SOURCES, package, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", START, *words],
        env={**os.environ, "CL_REPRO_HOME": str(home), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=home, capture_output=True, text=True, check=False, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
    )  # fmt: skip
    found = done.stdout.split()
    if "Traceback" in done.stderr or len(found) != 3:
        return f"a traceback, or no end: {done.stderr[-300:]}", 0.0, 0.0
    seconds, megabytes, code = float(found[0]), float(found[1]), found[2]
    if code not in ("1", "2") or done.stderr.count("\n") != 1:
        return f"code {code}, said: {done.stderr[-300:]}", seconds, megabytes
    over = seconds > SECONDS or megabytes > MEGABYTES
    return f"{seconds:.2f} s, {megabytes:.0f} MB" if over else "", seconds, megabytes
