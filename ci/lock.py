"""Make poetry.lock from pyproject.toml: `python3.11 ci/lock.py` (minutes; `--upgrade` for newer releases).

Two things stand between `poetry lock` and this project, so a scratch project is locked in its place.
poetry asks the public index through an interface that a mirror may lack: the scratch project names the
index that pip is configured for, through the simple interface that every mirror has.  And poetry solves
anew for each dependency that several extras share (not done after 19 minutes; now 20 s): the scratch project
declares each once and lists its extras.  What is then written to poetry.lock is what poetry means for the
real project: names, versions, file hashes and markers, with no address, and equal wherever it was made.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from environments import ROOT, EnvironmentProblem, ensure

POETRY = "poetry==2.5.1"
# poetry's fingerprint of what a lock was made from; `poetry check` compares it with the real project's.
CONTENT_HASH = """
import sys
from pathlib import Path
from poetry.factory import Factory
print(Factory().create_poetry(Path(sys.argv[1])).locker._get_content_hash())
"""
# torch pins these where it has builds.  For other machines poetry would lock a second, newer version, with
# markers that overlap, and then install both.  The scratch project asks for them wherever it asks for torch.
ONE_VERSION = {"nvidia-cublas": "13.1.1.3", "nvidia-cuda-nvrtc": "13.0.88"}
ENV = {**os.environ, "POETRY_VIRTUALENVS_CREATE": "false"}  # locking needs none
SOURCE = re.compile(r"\n\[package\.source\]\n(?:\w+ = .*\n)+")


def main(argv: list[str] | None = None) -> int:
    """Write poetry.lock.  Returns: 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description="Make poetry.lock from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest releases, not those locked")
    arguments = parser.parse_args(argv)
    try:
        python = str(ensure(ROOT / ".nox" / "_poetry", [POETRY], []))
        with tempfile.TemporaryDirectory(prefix="cl-repro-lock-") as scratch:
            text = lock(python, Path(scratch), upgrade=arguments.upgrade)
    except (EnvironmentProblem, LookupError, ValueError, subprocess.CalledProcessError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    (ROOT / "poetry.lock").write_text(text, encoding="utf-8")
    return subprocess.run([python, "-m", "poetry", "check", "--lock"], cwd=ROOT, env=ENV).returncode


def lock(python: str, scratch: Path, *, upgrade: bool) -> str:
    """The text of a new lock, made with the poetry of `python` in the empty folder `scratch`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    index = pip_index(python)
    (scratch / "pyproject.toml").write_text(scratch_project(project, index), encoding="utf-8")
    old = ROOT / "poetry.lock"
    if old.exists() and not upgrade:
        dressed = with_source(old.read_text(encoding="utf-8"), index)
        (scratch / "poetry.lock").write_text(dressed, encoding="utf-8")
    subprocess.run([python, "-m", "poetry", "lock"], cwd=scratch, env=ENV, check=True)
    content_hash = _output([python, "-c", CONTENT_HASH, str(ROOT)]).strip()
    return cleaned((scratch / "poetry.lock").read_text(encoding="utf-8"), project, content_hash)


def pip_index(python: str) -> str:
    """The address of the package index that pip uses here, asked of pip itself.

    Raises: LookupError if pip's help no longer tells it.
    """
    told = _output([python, "-m", "pip", "install", "--help"], COLUMNS="1000")  # unwrapped lines
    found = re.search(r"--index-url.*?\(default (\S+)\)", told, re.DOTALL)
    if found is None:
        raise LookupError("pip does not say which index it uses; see pip_index in ci/lock.py")
    return found[1].rstrip("/")


def scratch_project(project: dict[str, object], index: str) -> str:
    """A pyproject.toml with the dependencies of `project`, each declared once, and `index` as its source."""
    shared, extras = needs(project)
    lines = ["[project]", 'name = "cl-repro"', 'version = "0"']
    lines += [f'requires-python = "{project["requires-python"]}"']
    lines += ['dynamic = ["dependencies", "optional-dependencies"]', "[tool.poetry]", "package-mode = false"]
    lines += ["[tool.poetry.dependencies]", *(f'{name} = "{wanted}"' for name, wanted in shared.items())]
    optional: dict[str, str] = {}
    for wants in extras.values():
        for name, wanted in wants.items():
            if optional.setdefault(name, wanted) != wanted or name in shared:
                raise ValueError(f"pyproject.toml asks for {name} in two ways; every extra must ask alike")
    lines += [f'{name} = {{ version = "{wanted}", optional = true }}' for name, wanted in optional.items()]
    linux = "optional = true, markers = \"platform_system == 'Linux'\""
    lines += [f'{name} = {{ version = "{wanted}", {linux} }}' for name, wanted in ONE_VERSION.items()]
    lines += ["[tool.poetry.extras]"]
    for extra, wants in extras.items():
        lines += [f"{extra} = {[*wants, *(ONE_VERSION if 'torch' in wants else [])]}"]
    lines += ["[[tool.poetry.source]]", 'name = "scratch"', f'url = "{index}/"', 'priority = "primary"']
    return "\n".join(lines) + "\n"


def needs(project: dict[str, object]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """(name -> versions) of the dependencies of `project`, and the same for each of its extras."""
    shared, extras = project["dependencies"], project["optional-dependencies"]
    assert isinstance(shared, list)
    assert isinstance(extras, dict)
    return dict(map(_split, shared)), {extra: dict(map(_split, wants)) for extra, wants in extras.items()}


def _split(requirement: str) -> tuple[str, str]:
    found = re.fullmatch(r"([A-Za-z0-9._-]+) \(([^()]+)\)", requirement)
    if found is None:
        raise ValueError(f"pyproject.toml: write {requirement!r} as 'name (versions)'")
    return found[1], found[2]


def with_source(text: str, index: str) -> str:
    """The lock `text` with the scratch source in every package: poetry keeps no version of another."""
    packages, tail = text.split("\n[extras]", 1)
    source = f'\n[package.source]\ntype = "legacy"\nurl = "{index}"\nreference = "scratch"\n'
    head, *each = packages.split("\n[[package]]")
    return head + "".join(f"\n[[package]]{package}{source}" for package in each) + "\n[extras]" + tail


def cleaned(text: str, project: dict[str, object], content_hash: str) -> str:
    """The lock `text` as poetry writes it for the real `project`: no source, its extras, its hash."""
    extras = {re.sub(r"[-_.]+", "-", extra): wants for extra, wants in needs(project)[1].items()}
    listed = "[extras]\n"
    for extra in sorted(extras):
        wants = sorted(f'"{name} ({wanted})"' for name, wanted in extras[extra].items())
        listed += f"{extra} = [{', '.join(wants)}]\n"
    text = SOURCE.sub("", text)
    names = re.findall(r'(?m)^\[\[package\]\]\nname = "(.*)"$', text)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LookupError(f"two versions of {', '.join(twice)}; choose one in ONE_VERSION of ci/lock.py")
    text, n_extras = re.subn(r"(?m)^\[extras\]\n(?:[\w-]+ = \[.*\]\n)+", lambda _: listed, text)
    text, n_hashes = re.subn(r'(?m)^content-hash = ".*"$', f'content-hash = "{content_hash}"', text)
    if (n_extras, n_hashes) != (1, 1) or "\nurl = " in text:
        raise LookupError("the new lock is not as poetry wrote it before; poetry.lock is untouched")
    return text


def _output(command: list[str], **variables: str) -> str:
    done = subprocess.run(command, env={**ENV, **variables}, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
