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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from checkout import ROOT
from image import CheckFailed, Image, expect, good

STOP_SECONDS = 10  # docker's own patience
README_SECONDS = 60  # a README's command line that takes longer is then stopped
# What tells a README's command lines that need neither data nor a day.
SMALL = ("quick", "--samples_per_task 200", "--dataset digits", "dry_run=True", "--env_set toy")


def check_original_command(image: Image) -> str:
    """The first command line of each paper's quick profile, in its folder, as the image's own user."""
    said = []
    for paper in image.papers:
        with _volume(image) as flags:
            good(image.run("-p", "/results/artefacts", flags=(*flags, "--entrypoint", "mkdir")))
            for words in original_commands(paper):
                done = good(image.run(paper, *words, flags=flags))
            written = image.run("/results/artefacts", flags=(*flags, "--entrypoint", "ls")).stdout.split()
        expect(bool(written), f"{words[0]} wrote nothing")
        said.append(f"{words[0]}: {len(done.stdout.splitlines())} lines, {len(written)} files")
    return "; ".join(said)


def check_readme_commands(image: Image) -> str:
    """The small command lines of the papers' READMEs run, to their end or to a SIGTERM that they obey."""
    if not image.thorough:
        return "left out"
    said = []
    for paper in image.papers:
        with _volume(image) as flags:
            for line in readme_commands(paper):
                ended = _for_a_while(image, (paper, *shlex.split(line)), flags)
                said.append(f"{' '.join(line.split()[:3])} … {ended}")
    expect(bool(said), "no README has a small command line")
    return "; ".join(said)


def readme_commands(paper: str) -> list[str]:
    """The SMALL command lines in the bash blocks of the paper's README, and of the folders' below it."""
    folder = ROOT / "papers" / paper
    found = []
    for block in re.findall(r"(?ms)^```bash\n(.*?)^```", (folder / "README.md").read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.partition("  #")[0].strip()
            if command.startswith("python ") and any(word in command for word in SMALL):
                found.append(command)
    if paper == "tag":  # the half in TensorFlow, in a folder of its own
        program = "external_libs/continual_learning_algorithms/fc_mnist.py"
        found.append(f"python {program} --profile quick --imp-method A-GEM --num-runs 1 --decay 1.0")
    return found


def _for_a_while(image: Image, words: tuple[str, ...], flags: tuple[str, ...]) -> str:
    """Run `words`, with SIGTERM after README_SECONDS; how it ended.  Raises: CheckFailed if not well."""
    name, started = f"cl-repro-line-{os.getpid()}", time.monotonic()
    command = [image.engine.client, "run", "--rm", "--network", "none", "--name", name, *flags]
    with open(image.scratch / "line.log", "w+", encoding="utf-8") as log:
        with subprocess.Popen(
            [*command, image.tag, *words],
            env=image.engine.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as running:
            try:
                code = running.wait(timeout=README_SECONDS)
            except subprocess.TimeoutExpired:
                image.engine.call("kill", "--signal", "TERM", name)
                try:
                    code = running.wait(timeout=STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    image.engine.call("rm", "--force", name)
                    raise CheckFailed(f"{words} did not stop within {STOP_SECONDS} s") from None
        log.seek(0)
        said = log.read()
    took = time.monotonic() - started
    stopped = took >= README_SECONDS and code in (130, 143)
    expect(code == 0 or stopped, f"{' '.join(words)}: code {code}: {said[-300:]!r}")
    return f"stopped after {took:.0f} s" if stopped else f"{took:.0f} s"


@contextmanager
def _volume(image: Image) -> Iterator[tuple[str, ...]]:
    """The flags that give a container a new volume for its results, which is removed at the end."""
    name = f"cl-repro-check-{os.getpid()}"
    good(image.engine.call("volume", "create", name))
    try:
        yield ("--volume", f"{name}:/results")
    finally:
        image.engine.call("volume", "rm", name)


def original_commands(paper: str) -> list[list[str]]:
    """The preparation and the first row of the paper's quick profile, with folders of a container."""
    profile = _profile(paper)
    seeds = profile["row"][0].get("seeds") or profile["seeds"]
    places = {"{data}": "/results/data", "{artefacts}": "/results/artefacts", "{seed}": str(seeds[0])}
    commands = [*profile.get("prepare", []), shlex.split(profile["row"][0]["command"])]
    return [[_filled(word, places) for word in command] for command in commands]


def _profile(paper: str) -> dict[str, Any]:
    """The quick profile of `paper`."""
    text = (ROOT / "papers" / paper / "profiles.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["quick"])


def _filled(word: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        word = word.replace(name, value)
    return word


def check_stop(image: Image) -> str:
    """SIGTERM in the middle of the quick table: a clean end within seconds; what is done is kept.

    Asked when a run is done and another has a checkpoint; where none lasts that long, when half are done.
    """
    results, started = image.scratch / "inside", time.monotonic()
    n_rows = len(_profile(image.paper)["row"])
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
            while running.poll() is None and not _ready(results, image.paper, n_rows / 2):
                time.sleep(0.1)
            asked = time.monotonic()
            good(image.engine.call("kill", "--signal", "TERM", name))
            code = running.wait(timeout=STOP_SECONDS)
            took = time.monotonic() - asked
        except subprocess.TimeoutExpired:
            raise CheckFailed(f"it did not stop within {STOP_SECONDS} s") from None
        finally:
            image.engine.call("rm", "--force", name)
        log.seek(0)
        said = log.read()
    expect(code == 143, f"ended with {code}, not 143: {said[-300:]!r}")
    expect("stopped; finished runs are kept" in said, f"its last words were {said[-300:]!r}")
    n_states, n_done = len(_states(results, image.paper)), len(_records(results, image.paper))
    image.figures["signal"] = f"{took:.1f} s"
    image.figures["before"] = f"{asked - started:.1f}"
    return f"stopped in {took:.1f} s after {n_done} runs, {n_states} checkpoints are there"


def _ready(results: Path, paper: str, enough: float) -> bool:
    n_done = len(_records(results, paper))
    return n_done >= enough or bool(n_done and _states(results, paper))


def _states(results: Path, paper: str) -> list[Path]:
    """The checkpoints of runs that are not done; a run that is takes its own away."""
    return list((results / paper / "quick" / "work").rglob("*.state"))


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
    image.figures["table"] = f"{float(image.figures.get('before', 0)) + took:.0f} s"
    image.figures["equal"] = f"{n_equal} of {n_equal}"
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
