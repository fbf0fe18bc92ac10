"""Make poetry.lock from pyproject.toml: `python3.11 ci/lock.py` (minutes; `--upgrade` for newer releases).

poetry asks the public index through an interface that a mirror may lack, so this locks a scratch copy of the
project against the index that pip is configured for, through the simple interface that every mirror has.  The
index's address is read at run time and then taken out of the lock again: what is committed holds names,
versions and file hashes, and is equal wherever it was made.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from environments import ROOT, EnvironmentProblem, ensure

POETRY = "poetry==2.5.1"
# poetry's fingerprint of what a lock was made from; `poetry check` compares it with the clean project's.
CONTENT_HASH = """
import sys
from pathlib import Path
from poetry.factory import Factory
print(Factory().create_poetry(Path(sys.argv[1])).locker._get_content_hash())
"""


def main(argv: "list[str] | None" = None) -> int:
    """Write poetry.lock.  Returns: 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description="Make poetry.lock from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest releases, not those locked")
    arguments = parser.parse_args(argv)
    try:
        python = ensure(ROOT / ".nox" / "_poetry", [POETRY], [])
        with tempfile.TemporaryDirectory(prefix="cl-repro-lock-") as scratch:
            text = lock(python, Path(scratch), upgrade=arguments.upgrade)
    except (EnvironmentProblem, LookupError, subprocess.CalledProcessError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    (ROOT / "poetry.lock").write_text(text, encoding="utf-8")
    return subprocess.run([str(python), "-m", "poetry", "check", "--lock"], cwd=ROOT).returncode


def lock(python: Path, scratch: Path, *, upgrade: bool) -> str:
    """The text of a new lock, made with the poetry of `python` in the empty folder `scratch`."""
    for name in ["pyproject.toml", "README.md"] + ([] if upgrade else ["poetry.lock"]):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, scratch)
    clean_hash = _output([str(python), "-c", CONTENT_HASH, str(ROOT)]).strip()
    with open(scratch / "pyproject.toml", "a", encoding="utf-8") as project:
        project.write(
            f'\n[[tool.poetry.source]]\nname = "scratch"\nurl = "{pip_index(python)}"\npriority = "primary"\n'
        )
    command = [str(python), "-m", "poetry", "lock"] + (["--regenerate"] if upgrade else [])
    subprocess.run(command, cwd=scratch, check=True)
    return cleaned((scratch / "poetry.lock").read_text(encoding="utf-8"), clean_hash)


def pip_index(python: Path) -> str:
    """The address of the package index that pip uses here, asked of pip itself.

    Raises: LookupError if pip's help no longer tells it.
    """
    told = _output([str(python), "-m", "pip", "install", "--help"], COLUMNS="1000")  # unwrapped lines
    found = re.search(r"--index-url.*?\(default (\S+)\)", told, re.DOTALL)
    if found is None:
        raise LookupError("pip does not say which index it uses; see pip_index in ci/lock.py")
    return found[1].rstrip("/") + "/"


def cleaned(text: str, content_hash: str) -> str:
    """The lock `text` without the scratch source and with the clean project's hash."""
    text = re.sub(r"\n\[package\.source\]\n(?:\w+ = .*\n)+", "", text)
    text, n = re.subn(r'(?m)^content-hash = ".*"$', f'content-hash = "{content_hash}"', text)
    if n != 1 or "://" in text:
        raise LookupError("the new lock holds an address, or not one hash; poetry.lock is untouched")
    return text


def _output(command: list[str], **variables: str) -> str:
    env = {**os.environ, **variables}
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    raise SystemExit(main())
