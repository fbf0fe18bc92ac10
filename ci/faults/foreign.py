"""Files that no program of ours has made, and links, at every place of a results folder that is ever emptied
or overwritten: after a sweep, and after one with other steps and settings, all of them must still be there.
"""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from faults.commands import SOURCES
from faults.results import Tally
from faults.store import tiny_paper

PROFILE = "tiny/quick"
JOB = "s/m/seed0"
CONTENT = "years of work"
PLACES = (
    *("data/x", "data/deep/x", "data/.x", ".data-being-made/x", "prepare.log", ".lock", ".prepare.lock"),
    *(f"work/{JOB}/x", f"work/{JOB}.lock", f"artefacts/{JOB}/x", "records/s/m/x", ".notes.tmp", "x"),
)
LINKS = (
    *("data", "data/x", "work", "artefacts", f"work/{JOB}", f"artefacts/{JOB}", ".data-being-made"),
    *("prepare.log", ".lock", f"work/{JOB}.lock"),
)
STEP = 'prepare = [["make.py", "{data}", "%s"]]'
MAKE = "import sys; from pathlib import Path; Path(sys.argv[1], 'numbers').write_text(sys.argv[2])"


def foreign_files(tally: Tally) -> None:
    """Every place, with and without results there; every link, to a file or a folder that is not empty."""
    sys.path[:0] = [path for path in SOURCES if path not in sys.path]
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        home = Path(name) / "home"
        sys.path.insert(0, str(tiny_paper(home)))
        (home / "papers/tiny/make.py").write_text(MAKE)
        before = os.environ.get("CL_REPRO_HOME")
        os.environ["CL_REPRO_HOME"] = str(home)
        try:
            for kind, places in (("file", PLACES), ("link", LINKS)):
                with tally.row("foreign", f"{kind}s") as row:
                    for number, place in enumerate(places):
                        for ready in (False, True):
                            folder = Path(name) / f"{kind}{number}{ready}"
                            row.add(_one(folder, home, place, kind, ready), case=f"{place}, ready: {ready}")
        finally:
            os.environ.pop("CL_REPRO_HOME")
            if before is not None:
                os.environ["CL_REPRO_HOME"] = before


def _one(folder: Path, home: Path, place: str, kind: str, ready: bool) -> str:
    """What is wrong after a sweep over a foreign thing at `place`; "" if nothing is."""
    out, outside = folder / "out", folder / "outside"
    outside.mkdir(parents=True)
    if ready:
        code, said = _sweep(out, home, "1")
        if code:
            return f"undisturbed it ends with {code}: {said[-300:]}"
    target = out / PROFILE / place
    if ready and (target.exists() or target.is_symlink()):
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        target.write_text(CONTENT)
    else:
        is_file = Path(place).suffix in (".log", ".lock") or place.endswith(("x", ".lock"))
        (outside / "thesis.txt").write_text(CONTENT)
        target.symlink_to(outside / "thesis.txt" if is_file else outside)
    said = ""
    for steps in ("1", "2", "1"):
        code, more = _sweep(out, home, steps)
        said += more
        if "Traceback" in more:
            return f"a traceback: {more[-300:]}"
    kept = list(_texts(out if kind == "file" else outside))
    if CONTENT not in kept:
        return f"it is gone (the sweeps ended with {code}): {said[-300:]}"
    stray = [path.name for path in outside.rglob("*")] if kind == "link" else []
    return "" if stray in ([], ["thesis.txt"]) else f"written through the link: {stray}"


def _texts(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            yield path.read_text(encoding="utf-8")


def _sweep(out: Path, home: Path, steps: str) -> tuple[int, str]:
    """A sweep in this process whose prepare step writes `steps`.  Returns: its code and what it said."""
    from clrepro.cli import main

    text = (home / "papers/tiny/profiles.toml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("prepare")]
    lines.insert(lines.index("seeds = [0, 1, 2]") + 1, STEP % steps)
    (home / "papers/tiny/profiles.toml").write_text("\n".join(lines).replace("{seed}", "{seed}") + "\n")
    spec = home / "s.toml"
    spec.write_text('[[profile]]\npaper = "tiny"\nprofile = "quick"\nseeds = 1\n')
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(["sweep", str(spec), "--executor", "serial", "--out", str(out)])
    return code, said.getvalue()


ODD = {
    "ragged": [[0.1, 0.2], [0.3]], "empty": [], "empty rows": [[]], "flat": [0.1, 0.2], "deep": [[[0.1]]],
    "wide": [[0.1, 0.2]], "infinite": [["inf"]], "not measured": [[None]],
}  # fmt: skip


def odd_records(tally: Tally) -> None:
    """A report over one good record and one with odd series or no seal: it must come, with the good one."""
    sys.path[:0] = [path for path in SOURCES if path not in sys.path]
    with tally.row("odd", "series of one record") as row, tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        tiny_paper(home)
        before = os.environ.get("CL_REPRO_HOME")
        os.environ["CL_REPRO_HOME"] = str(home)
        try:
            for series in ("R", "order", "overall", "rewards", "curve_returns"):
                for word, value in ODD.items():
                    for sealed in (True, False):
                        folder = Path(name) / f"{series}-{word}-{sealed}"
                        row.add(
                            _report(folder, {series: value}, sealed), case=f"{series} {word}, sealed {sealed}"
                        )
        finally:
            os.environ.pop("CL_REPRO_HOME")
            if before is not None:
                os.environ["CL_REPRO_HOME"] = before


def _report(out: Path, series: dict[str, object], sealed: bool) -> str:
    from clrepro.cli import main
    from clrepro.records import RunRecord, checksum

    for seed, own in (
        (0, {"R": [[0.5]]}),
        (1, {"R": [[0.5]], "curve_steps": [[1]], "reward_steps": [[1]], **series}),
    ):
        record = RunRecord("tiny", "quick", "s", "m", seed, ["main.py"], {}, "0" * 64, {"A": 0.5})
        body = {key: value for key, value in json.loads(record.to_json()).items() if key != "sha256"}
        body["series"] = own
        if sealed:
            body["sha256"] = checksum(body)
        path = record.path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(body))
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(["report", "--out", str(out)])
    if code:
        return f"it ends with {code}: {said.getvalue()[-300:]}"
    table = (out / "tiny/quick/table.md").read_text()
    named = "tiny/quick/s/m/seed1: series" in said.getvalue()
    if f"| s | m | {1 if named else 2} |" not in table:
        return f"the record is neither shown nor named: {said.getvalue()[-300:]}"
    return ""
