"""An image: built by an engine, tried in containers.  Standard library only."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from checkout import ROOT
from engine import Engine

DOCKERFILE = ROOT / "docker" / "Dockerfile"
# What may be set here to choose the kernels of linear algebra: another choice rounds otherwise.
ARITHMETIC = ("OPENBLAS_", "MKL_", "NPY_", "ATEN_CPU_CAPABILITY", "DNNL_", "ONEDNN_", "NUMBA_CPU_")
Done: TypeAlias = "subprocess.CompletedProcess[str]"


class CheckFailed(Exception):
    """An image breaks a promise; the text says which and how."""


@dataclass(frozen=True)
class Image:
    """An image under test; its quick table is that of `paper`, and it has `papers`.

    `scratch` is an empty folder of ours; `seeds` 0 means the profile's.  `outside` holds the records of the
    same quick run made without a container; None: make them.  `thorough`: also what takes minutes.  `figures`
    (what was measured, by column of the table) and `layers` (digest -> bytes) are filled by the checks.
    """

    engine: Engine
    tag: str
    paper: str
    scratch: Path
    seeds: int = 0
    outside: Path | None = None
    papers: tuple[str, ...] = ()
    thorough: bool = False
    figures: dict[str, str] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)

    def run(self, *words: str, flags: tuple[str, ...] = (), timeout: float = 1800) -> Done:
        """`docker run FLAGS image WORDS` without a network; the container is removed at its end."""
        return self.engine.call("run", "--rm", "--network", "none", *flags, self.tag, *words, timeout=timeout)

    def program(self, program: str, *words: str) -> str:
        """What PROGRAM of the image prints when it is run in place of the entry point."""
        return good(self.run(*words, flags=("--entrypoint", program))).stdout

    def hardened(self, results: Path) -> tuple[str, ...]:
        """Flags: a read-only root, a user that the image does not know, no rights, `results` outside, and the
        choices of arithmetic that the run outside has."""
        results.mkdir(parents=True, exist_ok=True)
        user = f"{os.getuid()}:{os.getgid()}"
        if os.getuid() == 0:
            user = "12345:54321"
            os.chown(results, 12345, 54321)
        rights = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", *same_arithmetic())
        return ("--read-only", "--user", user, *rights, "--volume", f"{results}:/results")


def same_arithmetic() -> list[str]:
    """Flags of `docker run` that give a container this process's choices of kernels, if it has made any."""
    return [word for name in sorted(os.environ) if name.startswith(ARITHMETIC) for word in ("--env", name)]


def good(done: Done, code: int = 0) -> Done:
    """`done` if it ended with `code`.  Raises: CheckFailed with its last words."""
    if done.returncode != code:
        said = " | ".join((done.stderr + done.stdout).strip().splitlines()[-5:])
        raise CheckFailed(f"ended with {done.returncode}, not {code}: {said}")
    return done


def expect(truth: bool, otherwise: str) -> None:
    """Raises: CheckFailed saying `otherwise` unless `truth`."""
    if not truth:
        raise CheckFailed(otherwise)


def commit() -> str:
    """The commit of this checkout, which the image's records will name; "" if git does not tell."""
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def build(
    engine: Engine,
    target: str,
    base: str,
    *,
    wheels: str,
    secrets: Sequence[str],
    context: Path = ROOT,
    tag: str = "",
) -> tuple[str, float]:
    """Build `target` of the Dockerfile from the files in `context`.

    Args: base — the base image; wheels — cpu, cuda or auto; secrets — see image_base.pip_secrets;
        tag — its name, else cl-repro:TARGET.
    Returns: the image's name, and the seconds that it took.
    Raises: CheckFailed after the end of the engine's own words on stderr.
    """
    tag = tag or f"cl-repro:{target}"
    command = [engine.client, "build", "--progress", "plain", "--network", "host", *secrets]
    command += ["--build-arg", f"BASE_IMAGE={base}", "--build-arg", f"WHEELS={wheels}"]
    command += ["--build-arg", f"COMMIT={commit()}"]
    command += [
        "--target",
        target,
        "--tag",
        tag,
        "--file",
        str(context / "docker" / "Dockerfile"),
        str(context),
    ]
    started = time.monotonic()
    log = engine.folder / f"build-{target}.log"
    with open(log, "w", encoding="utf-8") as output:
        code = subprocess.run(command, env=engine.environment(), stdout=output, stderr=output).returncode
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise CheckFailed("\n".join([f"docker build of {target} ended with {code}:", *lines[-40:]]))
    return tag, time.monotonic() - started
