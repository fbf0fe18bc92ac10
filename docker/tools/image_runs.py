"""What an image must do: run original command lines, and make quick tables that equal those made outside.

Standard library only.  A check returns what it found, or raises CheckFailed in one line.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

from checkout import ROOT
from image import CheckFailed, Image, expect, good

STOP_SECONDS = 20  # docker's own patience is 10


def check_original_command(image: Image) -> str:
    """The first command line of the quick profile, in the paper's folder, as the image's own user."""
    name = f"cl-repro-check-{os.getpid()}"
    good(image.engine.call("volume", "create", name))
    try:
        flags = ("--volume", f"{name}:/results")
        good(image.run("-p", "/results/artefacts", flags=(*flags, "--entrypoint", "mkdir")))
        for words in original_commands(image.paper):
            done = good(image.run(image.paper, *words, flags=flags))
        written = image.run("/results/artefacts", flags=(*flags, "--entrypoint", "ls")).stdout.split()
    finally:
        image.engine.call("volume", "rm", name)
    expect(bool(written), f"{words[0]} wrote nothing")
    return f"{words[0]}: {len(done.stdout.splitlines())} lines, {len(written)} files"


def original_commands(paper: str) -> list[list[str]]:
    """The preparation and the first row of the paper's quick profile, with folders of a container."""
    profile = tomllib.loads((ROOT / "papers" / paper / "profiles.toml").read_text(encoding="utf-8"))["quick"]
    seeds = profile["row"][0].get("seeds") or profile["seeds"]
    places = {"{data}": "/results/data", "{artefacts}": "/results/artefacts", "{seed}": str(seeds[0])}
    commands = [*profile.get("prepare", []), shlex.split(profile["row"][0]["command"])]
    return [[_filled(word, places) for word in command] for command in commands]


def _filled(word: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        word = word.replace(name, value)
    return word


def check_stop(image: Image) -> str:
    """SIGTERM in the middle of the quick table: a clean end within seconds; what is done is kept."""
    results = image.scratch / "inside"
    name = f"cl-repro-stop-{os.getpid()}"
    command = [image.engine.client, "run", "--rm", "--network", "none", "--name", name]
    with open(image.scratch / "stop.log", "w+", encoding="utf-8") as log:
        running = subprocess.Popen(
            [*command, *image.hardened(results), image.tag, image.paper, *_seeds(image)],
            env=image.engine.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while running.poll() is None and not _records(results, image.paper):
                time.sleep(0.2)
            asked = time.monotonic()
            good(image.engine.call("kill", "--signal", "TERM", name))
            code = running.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise CheckFailed(f"it did not stop within {STOP_SECONDS} s") from None
        finally:
            image.engine.call("rm", "--force", name)
        log.seek(0)
        said = log.read()
    expect(code == 143, f"ended with {code}, not 143: {said[-300:]!r}")
    expect("stopped; finished runs are kept" in said, f"its last words were {said[-300:]!r}")
    return f"stopped in {time.monotonic() - asked:.1f} s after {len(_records(results, image.paper))} runs"


def check_quick_table(image: Image) -> str:
    """The same command goes on from there, and its records are those of the run outside."""
    results = image.scratch / "inside"
    started = time.monotonic()
    done = good(image.run(image.paper, *_seeds(image), flags=image.hardened(results)))
    took = time.monotonic() - started
    before = re.search(r"(\d+) runs, (\d+) of them done before", done.stderr)
    expect(before is not None and int(before[2]) > 0, f"it did not go on: {done.stderr[:200]!r}")
    table = (results / image.paper / "quick" / "table.md").read_text(encoding="utf-8")
    expect(table.strip() in done.stdout, "the table that it prints is not the one that it wrote")
    outside = image.outside or run_outside(image)
    n_equal = compare(_records(results, image.paper), _records(outside, image.paper))
    return f"{n_equal} records equal those outside; the rest after the stop took {took:.0f} s"


def run_outside(image: Image) -> Path:
    """The folder with the records of the same quick run, made by nox without a container."""
    out = image.scratch / "outside"
    command = [sys.executable, str(ROOT / "ci" / "run_nox.py"), "-s", f"reproduce-{image.paper}", "--"]
    done = subprocess.run([*command, "--out", str(out), *_seeds(image)], capture_output=True, text=True)
    good(done)
    return out


def compare(inside: dict[str, dict[str, Any]], outside: dict[str, dict[str, Any]]) -> int:
    """How many records there are `inside`; each must equal the one of the same name `outside`.

    What a run cost, which software made it and where are left out, as `cl-repro check` does, and so is the
    checksum over all fields.  Raises: CheckFailed.
    """
    expect(bool(inside), "there is no record")
    for name, record in inside.items():
        expect(name in outside, f"the run outside has no record {name}")
        for field in sorted(set(record) - {"cost", "versions", "origin", "sha256"}):
            expect(record[field] == outside[name].get(field), f"{name}: {field} differs from the run outside")
    seeds = {record["seed"] for record in inside.values()}
    wanted = {name for name, record in outside.items() if record["seed"] in seeds}
    missing = sorted(wanted - set(inside))
    expect(not missing, f"{len(missing)} records are missing, such as {missing[:1]}")
    return len(inside)


def _records(results: Path, paper: str) -> dict[str, dict[str, Any]]:
    folder = results / paper / "quick" / "records"
    files = sorted(folder.rglob("seed*.json"))
    return {str(file.relative_to(folder)): json.loads(file.read_text(encoding="utf-8")) for file in files}


def _seeds(image: Image) -> list[str]:
    return ["--seeds", str(image.seeds)] if image.seeds else []
