"""`cl-repro doctor`: what this machine and installation can do; one line per finding, with the cure."""

import importlib.metadata
import os
import platform
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from clrepro import __version__
from clrepro.checkout import install_hint
from clrepro.cli.data import EMBEDDED, look
from clrepro.datasets import CATALOG
from clrepro.datasets.locate import cache_folder
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import write_atomically
from clrepro.io.paths import exists
from clrepro.sweep import find_home, load_profiles, paper_names
from clrepro.sweep.host import show

MIN_FREE_GB = 2.0
ENGINES = {
    "numba": f"compiled kernels for small networks: {install_hint('mer')}",
    "torch": f"reference engines: {install_hint('mer')}",
    "matplotlib": f"figures in the report: {install_hint('mer')}",
}

Finding = tuple[bool, str]  # all is well?, the line


def run(out: Path) -> int:
    """Print all findings about this machine and the folder `out`.  Returns: 0 (warnings are advice)."""
    findings = [*_software(), *_machine(), *_folders(out), *_data(), *_papers()]
    for well, line in findings:
        show(f"{'ok  ' if well else 'warn'}  {line}")
    warnings = sum(not well for well, _ in findings)
    show(f"{warnings} warning{'s' * (warnings != 1)}")
    return 0


def _software() -> Iterator[Finding]:
    good = sys.version_info[:2] == (3, 11)
    cure = "" if good else "; the suite is tested with 3.11, make an environment with it"
    yield good, f"python {platform.python_version()} on {platform.system()} {platform.machine()}{cure}"
    parts = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "rich", "pooch")]
    yield True, f"cl-repro {__version__}, {', '.join(parts)}"
    for name, cure in ENGINES.items():
        try:
            yield True, f"engine {name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield False, f"engine {name} is not installed; {cure}"


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield True, f"{cores} cores for this process; reproduce runs that many jobs of one thread each"
    threads = os.environ.get("OMP_NUM_THREADS")
    yield True, f"OMP_NUM_THREADS is {threads or 'not set'} (workers use 1 whatever it is)"
    flags = _cpu_flags()
    found = [name for name in ("avx2", "fma", "avx512f", "asimd") if name in flags]
    if flags:
        slow = "; without avx2 or asimd the kernels run several times slower"
        yield (
            bool(found),
            f"processor features: {', '.join(found) or 'none of interest'}{'' if found else slow}",
        )


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}


def _folders(out: Path) -> Iterator[Finding]:
    for what, folder, flag in (
        ("results", out, "--out DIR"),
        ("data cache", cache_folder(), "CL_REPRO_DATA=DIR"),
    ):
        try:
            there = next(each for each in (folder.resolve(), *folder.resolve().parents) if exists(each))
            probe = there / f"probe-{uuid.uuid4().hex}"
            write_atomically(probe, b"x")
            probe.unlink()
        except (DataError, OSError) as problem:
            yield False, f"{what} folder is not writable: {problem} (or use {flag})"
            continue
        free = shutil.disk_usage(there).free / 1e9
        cure = (
            "" if free >= MIN_FREE_GB else f"; full profiles need {MIN_FREE_GB:g} GB, free some or use {flag}"
        )
        yield free >= MIN_FREE_GB, f"{what} folder {folder} is writable, {free:.1f} GB free{cure}"


def _data() -> Iterator[Finding]:
    for name in (EMBEDDED, *CATALOG):
        state, detail = look(name, None)
        yield state == "found", f"data {name}: {detail.removeprefix(name + ': ')}"


def _papers() -> Iterator[Finding]:
    try:
        home = find_home()
        yield True, f"papers in {home}: {', '.join(paper_names(home)) or 'none with a profiles.toml'}"
    except UsageError as problem:
        yield False, f"papers: {problem}"
        return
    for paper in paper_names(home):
        try:
            load_profiles(home, paper)
        except DataError as problem:
            yield False, f"profiles of {paper}: {problem}"
