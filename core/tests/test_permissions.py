"""A folder that may not be entered is one line in every command, as a user without root's rights meets it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clrepro.errors import DataError
from clrepro.io import paths

RIGHTS = "-dac_override,-dac_read_search"  # with these root may enter any folder
UNPRIVILEGED = ["setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS]
pytestmark = pytest.mark.skipif(
    os.getuid() == 0 and shutil.which("setpriv") is None, reason="root without setpriv may enter all folders"
)


def unprivileged(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with `words` and, where it is run by root, without root's right to enter all folders."""
    before = UNPRIVILEGED if os.getuid() == 0 else []
    return subprocess.run(
        [*before, sys.executable, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may enter; it holds "in", a folder with a sweep file and a record."""
    folder = tmp_path / "locked"
    (folder / "in/fake/quick/records/s/m").mkdir(parents=True)
    (folder / "in/s.toml").write_text("")
    (folder / "in/fake/quick/records/s/m/seed0.json").write_text("{}")
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


COMMANDS = {
    "list": ("list", {"CL_REPRO_HOME": "{in}"}),
    "data": ("data --data_dir {in}", {}),
    "data by variable": ("data", {"CL_REPRO_DATA": "{in}"}),
    "data get": ("data get mnist", {"XDG_CACHE_HOME": "{in}", "CL_REPRO_DATA": "{in}"}),
    "reproduce": ("reproduce fake --out {in}", {}),
    "reproduce data": ("reproduce fake --data_dir {in}", {}),
    "reproduce home": ("reproduce fake", {"CL_REPRO_HOME": "{in}"}),
    "sweep": ("sweep {in}/s.toml", {}),
    "sweep out": ("sweep {spec} --out {in}", {}),
    "sweep serial out": ("sweep {spec} --executor serial --out {in}", {}),
    "sweep local": ("sweep {spec} --executor serial --out local://{in}", {}),
    "sweep slurm": ("sweep {spec} --slurm {in}/a.sh", {}),
    "report": ("report --out {in}", {}),
    "report records": ("report --records {in}", {}),
    "check": ("check fake --out {in}", {}),
    "check locked": ("check fake --out {locked}", {}),
    "doctor": ("doctor --out {in}", {}),
    "doctor data": ("doctor", {"CL_REPRO_DATA": "{in}", "XDG_CACHE_HOME": "{in}"}),
}


@pytest.mark.parametrize(("words", "environment"), COMMANDS.values(), ids=COMMANDS)
def test_every_command_says_it_in_a_line(
    words: str, environment: dict[str, str], fake_paper: Any, locked: Path, tmp_path: Path
) -> None:
    spec = fake_paper.home / "s.toml"
    (fake_paper.home / "ci/baselines").mkdir(parents=True)
    (fake_paper.home / "ci/baselines/fake.json").write_text('{"paper": "fake", "schema": 1, "runs": []}')
    spec.write_text('[[profile]]\npaper = "fake"\nprofile = "quick"\n')

    def filled(text: str) -> str:
        return (
            text.replace("{in}", f"{locked}/in").replace("{locked}", str(locked)).replace("{spec}", str(spec))
        )

    variables = fake_paper.environment() | {name: filled(value) for name, value in environment.items()}
    done = unprivileged("-m", "clrepro.cli", *filled(words).split(), **variables)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    if words.split()[0] in ("doctor", "data"):  # they go on and say it among their findings
        assert "Permission denied" in said
        return
    assert done.returncode in (1, 2)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Permission denied" in done.stderr


def test_looking_at_a_path_that_may_not_be_seen(locked: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from clrepro.io import paths; from clrepro.errors import DataError\n"
        "for look in (paths.exists, paths.is_file, paths.is_dir, paths.is_link):\n"
        "    try: look(Path(sys.argv[1], 'in'))\n"
        "    except DataError as problem: print(problem)\n"
        "print(paths.find(Path(sys.argv[1])))\n"
    )
    done = unprivileged("-c", code, str(locked))
    assert done.stdout.splitlines() == [
        *[f"{locked}/in: cannot be looked at (Permission denied)"] * 4,
        f"([], ['{locked}: cannot be listed (Permission denied)'])",
    ], done.stderr


def test_records_in_a_locked_folder_are_named_and_not_passed_over(fake_paper: Any, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from clrepro.records import load_many\n"
        "print(load_many(Path(sys.argv[1])))"
    )
    folder = tmp_path / "out/records/s"
    folder.mkdir(parents=True)
    folder.chmod(0)
    done = unprivileged("-c", code, str(tmp_path / "out"))
    folder.chmod(0o700)
    assert done.stdout.strip() == f"([], ['{folder}: cannot be listed (Permission denied)'])"


def test_names_that_are_too_long_or_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="File name too long"):
        paths.is_file(tmp_path / ("x" * 256))
    assert not paths.exists(tmp_path / "a\0b")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert not paths.exists(loop)
    assert paths.is_link(loop)
