"""Build the images of docker/Dockerfile and try what they promise.

`python3.11 docker/tools/images.py check mer` tries an image, and `... run mer --profile quick` reproduces a
paper in its image, results in ./results.
Standard library only.  Uses the container engine that runs here, else one of its own, gone afterwards.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import image_checks
import image_inventory
import image_layers
import image_runs
import image_turn
from checkout import ROOT
from engine import Engine, NoEngine, engine
from image import DOCKERFILE, CheckFailed, Image, build, same_arithmetic
from image_base import base_image, default_base, pip_secrets

REBUILD_SECONDS = 15  # after a change of the source
IGNORED = shutil.ignore_patterns("results", "tests", "__pycache__", ".mypy_cache", "*.pt")
ALL = "all"  # the target of the Dockerfile with every paper in it
QUICKEST = "ta_agem"  # whose quick table the image with all papers is tried with
COLUMNS = {
    "size": "size",
    "adds": "adds to those above",
    "build": "build",
    "rebuild": "after a change of the source",
    "table": "quick table",
    "equal": "records equal to those outside",
    "signal": "from SIGTERM to the end",
}
HEAD = f"| image | {' | '.join(COLUMNS.values())} |\n|---|{'---|' * len(COLUMNS)}"
CHECKS: list[Callable[[Image], str]] = [
    image_checks.check_help,
    image_checks.check_unknown_paper,
    image_checks.check_privileges,
    image_checks.check_no_secrets,
    image_checks.check_source,
    image_checks.check_size,
    image_layers.check_layers,
    image_inventory.check_inventory,
    image_inventory.check_labels,
    image_checks.check_devices,
    image_runs.check_original_command,
    image_runs.check_readme_commands,
    image_runs.check_stop,
    image_runs.check_quick_table,
]


def main(argv: list[str] | None = None) -> int:
    """Returns: 0, also if `check` is skipped because no engine can be started; 1 if something is broken."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that an engine of ours is stopped
    arguments, rest = _parser().parse_known_args(argv)
    try:
        if arguments.command == "run":
            return run(arguments.paper, rest, arguments.wheels)
        if rest:
            _parser().error(f"unrecognized arguments: {' '.join(rest)}")
        return check(arguments.targets, arguments.wheels, arguments.seeds, arguments.outside)
    except NoEngine as reason:
        skipped = arguments.command == "check"
        print(f"{'skipped' if skipped else 'error'}: no container engine: {reason}", file=sys.stderr)
        return 0 if skipped else 1
    except CheckFailed as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def check(targets: list[str], wheels: str, seeds: int, outside: Path | None) -> int:
    """Build each of `targets` and try every promise; prints a line for each, then a table of figures.

    Args: targets — papers, "together" (the image with all of them), "all" (those six) or "due" (image_turn).
    """
    failures, rows, layers = 0, [], dict[str, dict[str, int]]()
    names = _named(targets)
    with ExitStack() as stack:
        started = time.monotonic()
        ours = stack.enter_context(engine(len(names)))
        base = base_image(ours, default_base(DOCKERFILE))
        secrets = stack.enter_context(pip_secrets(ours.folder))
        _say(True, "engine", "start", time.monotonic() - started, f"base {base}")
        for target in names:
            tag, seconds = build(ours, target, base, wheels=wheels, secrets=secrets)
            _say(True, target, "build", seconds, "")
            scratch = ours.folder / f"check-{target}"
            scratch.mkdir()
            papers = tuple(present()) if target == ALL else (target,)
            paper = QUICKEST if target == ALL else target
            thorough = targets != ["due"]
            image = Image(ours, tag, paper, scratch, seeds, outside, papers, thorough)
            image.figures["build"] = f"{seconds:.0f} s"
            for name, took, found, holds in try_all(image, CHECKS):
                _say(holds, target, name, took, found)
                failures += not holds
            again, holds = rebuild(ours, target, base, wheels, secrets)
            _say(holds, target, "rebuild", again, f"after a change of the source, limit {REBUILD_SECONDS} s")
            failures += not holds
            image.figures["rebuild"] = f"{again:.1f} s"
            shared, own = image_layers.shared_and_own(image.layers, layers.values())
            image.figures["adds"] = f"{own / 1e9:.2f} GB" if shared else "all"
            layers[target] = image.layers
            rows.append(row(target, image.figures))
            subprocess.run(["rm", "-rf", str(scratch)], check=True)
    verdict = f"{failures} promises broken" if failures else "every promise kept"
    print("\n".join(["", HEAD, *rows, "", verdict]))
    return int(failures > 0)


def row(target: str, figures: dict[str, str]) -> str:
    """The line of the table for the image `target`; a figure that no check came to is a dash."""
    return f"| `{target}` | " + " | ".join(figures.get(name, "–") for name in COLUMNS) + " |"


def present() -> list[str]:
    """The papers that are in the tree."""
    return sorted(folder.name for folder in (ROOT / "papers").iterdir() if (folder / "src").is_dir())


def _named(targets: list[str]) -> list[str]:
    """The targets of the Dockerfile that the words of the command line mean, each once."""
    words = {"all": [*present(), ALL], "together": [ALL]}
    words["due"] = image_turn.due_today(present()) if "due" in targets else []
    return list(dict.fromkeys(name for word in targets for name in words.get(word, [word])))


def try_all(image: Image, checks: list[Callable[[Image], str]]) -> Iterator[tuple[str, float, str, bool]]:
    """Each check's name, the seconds that it took, what it found, and whether the promise holds."""
    for each in checks:
        started = time.monotonic()
        try:
            found, holds = each(image), True
        except (CheckFailed, subprocess.TimeoutExpired, OSError, ValueError) as problem:
            found, holds = str(problem), False
        yield each.__name__.removeprefix("check_").replace("_", " "), time.monotonic() - started, found, holds


def rebuild(ours: Engine, target: str, base: str, wheels: str, secrets: list[str]) -> tuple[float, bool]:
    """The seconds to build `target` after a change of one source file, and whether the image has the change.

    The better of two tries counts: the machine may have other work.
    """
    context = ours.folder / "context"
    shutil.rmtree(context, ignore_errors=True)
    for name in ["core/src", "papers", "docker", "ci/baselines"]:
        shutil.copytree(ROOT / name, context / name, ignore=IGNORED)
    programs = ["ci/build_backend.py", "ci/constraints.py"]
    for name in ["pyproject.toml", "poetry.lock", "LICENSE", ".dockerignore", *programs]:
        shutil.copy(ROOT / name, context / name)
    changed, best, there = context / "core" / "src" / "clrepro" / "errors.py", float("inf"), True
    for attempt in (1, 2):
        with open(changed, "a", encoding="utf-8") as file:
            file.write(f"# change {attempt}\n")
        tag, seconds = build(
            ours, target, base, wheels=wheels, secrets=secrets, context=context, tag="cl-repro:changed"
        )
        grep = ("run", "--rm", "--network", "none", "--entrypoint", "grep", tag, f"# change {attempt}")
        there &= ours.call(*grep, "/opt/cl-repro/core/src/clrepro/errors.py").returncode == 0
        best = min(best, seconds)
        if best <= REBUILD_SECONDS:
            break
    return best, there and best <= REBUILD_SECONDS


def run(paper: str, arguments: list[str], wheels: str) -> int:
    """Reproduce `paper` in its image with `arguments` of `cl-repro reproduce`; its exit code.

    Folders named by --out and --data_dir become the container's /results and /data.
    """
    out, arguments = _taken(arguments, "--out")
    data, arguments = _taken(arguments, "--data_dir")
    results = Path(out or "results").absolute()
    results.mkdir(parents=True, exist_ok=True)
    data = data or os.environ.get("CL_REPRO_DATA", "")
    with engine() as ours:
        base = base_image(ours, default_base(DOCKERFILE))
        with pip_secrets(ours.folder) as secrets:
            tag, seconds = build(ours, paper, base, wheels=wheels, secrets=secrets)
        print(f"image {tag} built in {seconds:.0f} s", file=sys.stderr, flush=True)
        command = [ours.client, "run", "--rm", "--init", "--user", f"{os.getuid()}:{os.getgid()}"]
        command += [*same_arithmetic(), "--volume", f"{results}:/results"]
        command += ["--volume", f"{Path(data).absolute()}:/data:ro"] if data else []
        command += ["--network", "none"] if ours.own else []  # an engine of ours has no bridge
        command += ["--gpus", "all"] if _has_gpus(ours) else []
        return _foreground([*command, tag, paper, *arguments], ours.environment())


def _foreground(command: list[str], variables: dict[str, str]) -> int:
    """Run `docker run ...` in the foreground and pass SIGTERM on to it; its exit code."""
    with subprocess.Popen(command, env=variables) as running:
        signal.signal(signal.SIGTERM, lambda *_: running.terminate())
        while True:
            try:
                return running.wait()
            except KeyboardInterrupt:  # the client has heard it too and tells the container
                continue


def _has_gpus(ours: Engine) -> bool:
    return "nvidia" in ours.call("info", "--format", "{{json .Runtimes}}").stdout


def _taken(arguments: list[str], flag: str) -> tuple[str, list[str]]:
    """The value of `flag` in `arguments` (empty if it is not there), and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(flag, dest="value", default="")
    found, rest = parser.parse_known_args(arguments)
    return found.value, rest


def _say(holds: bool, target: str, what: str, seconds: float, found: str) -> None:
    print(f"{'ok    ' if holds else 'BROKEN'} {target:8} {what:17} {seconds:6.1f} s  {found}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Build the images and try what they promise.")
    targets = "papers, together (one image of all), all (these six), due (those of today; the default)"
    commands = parser.add_subparsers(dest="command", required=True)
    tried = commands.add_parser("check", help="build and try images", allow_abbrev=False)
    tried.add_argument("targets", nargs="*", default=["due"], metavar="TARGET", help=targets)
    tried.add_argument("--seeds", type=int, default=0, help="seeds per row (default: the profile's)")
    tried.add_argument("--outside", type=Path, help="records of the same run without a container")
    used = commands.add_parser("run", help="reproduce a paper in its image", allow_abbrev=False)
    used.add_argument("paper", metavar="PAPER")
    for each in (tried, used):
        each.add_argument("--wheels", choices=["auto", "cpu", "cuda"], default="auto")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
