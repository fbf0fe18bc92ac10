"""ci/run_nox.py and the environments it stands on, with a fake nox from a local folder."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import environments
import pytest
import run_nox

CI = Path(run_nox.__file__).parent
LOCK = '[[package]]\nname = "nox"\nversion = "1.5"\n'


def make_wheel(folder: Path, version: str) -> None:
    """A wheel of a `nox` that prints its version, arguments and folder, and ends with 7."""
    info = f"nox-{version}.dist-info"
    program = f'import os, sys\nprint("nox {version}", *sys.argv[1:], "in", os.getcwd())\nsys.exit(7)\n'
    with zipfile.ZipFile(folder / f"nox-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nox/__init__.py", "")
        wheel.writestr("nox/__main__.py", program)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: nox\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


class Checkout:
    """A checkout that holds the tools only, and a machine whose pip knows one folder of wheels."""

    def __init__(self, root: Path) -> None:
        self.root, self.wheels = root, root / "wheels"
        self.env = root / ".nox" / "_nox"
        self.wheels.mkdir()
        for version in ["1.4", "1.5", "1.6"]:
            make_wheel(self.wheels, version)
        (root / "ci").mkdir()
        for name in ["run_nox.py", "interpreter.py", "environments.py", "constraints.py"]:
            shutil.copy(CI / name, root / "ci")
        (root / "poetry.lock").write_text(LOCK)

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        machine = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels.as_uri(), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.Popen(
            [sys.executable, str(self.root / "ci" / "run_nox.py"), *arguments],
            cwd=cwd or self.root,
            env={**os.environ, **machine},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
        process = self.start(*arguments, cwd=cwd)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """One checkout for the tests below, which leave its environment whole."""
    return Checkout(tmp_path_factory.mktemp("checkout with spaces"))


def test_two_first_calls_at_once_make_it_once(checkout: Checkout) -> None:
    calls = [checkout.start("-s", name) for name in ["a", "b"]]
    told = [call.communicate(timeout=120) for call in calls]
    assert [call.returncode for call in calls] == [7, 7], told
    assert ["-s a in" in told[0][0], "-s b in" in told[1][0]] == [True, True]
    assert sum("installing" in err for _, err in told) == 1


def test_passes_arguments_exit_code_and_folder_on_with_the_locked_version(
    checkout: Checkout, tmp_path: Path
) -> None:
    code, out, err = checkout.call("-s", "x y", "--", "--jobs", "2", cwd=tmp_path)
    assert code == 7
    assert out == f"nox 1.5 -f {checkout.root}/noxfile.py -s x y -- --jobs 2 in {tmp_path}\n"
    assert err == ""  # made before: nothing is installed


def test_a_folder_that_is_no_environment_or_a_link_stays(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    (tmp_path / "link").symlink_to(mine)
    for folder in (mine, tmp_path / "link"):
        with pytest.raises(environments.EnvironmentProblem, match=folder.name):
            environments._remove_unfinished(folder)
    assert (mine / "thesis.txt").read_text() == "years of work"
    (mine / "pyvenv.cfg").touch()
    environments._remove_unfinished(mine)
    assert not mine.exists()


@pytest.mark.parametrize("damage", ["unfinished", "gone", "stale"])
def test_half_made_environment_is_mended(checkout: Checkout, damage: str) -> None:
    if damage == "unfinished":  # killed while pip wrote: the package is listed, its files are not there
        (checkout.env / environments.STAMP).unlink()
        shutil.rmtree(next(checkout.env.glob("lib/*/site-packages/nox")))
    elif damage == "gone":  # the Python it was made from was removed; the stamp is still there
        link = environments.python_of(checkout.env)
        link.unlink()
        link.symlink_to(checkout.root / "gone")
    else:  # whole, but made from something else
        (checkout.env / environments.STAMP).write_text("of another lock")
    code, out, err = checkout.call("-l")
    assert (code, out[:8]) == (7, "nox 1.5 "), err
    assert checkout.call("-l")[2] == ""


def test_a_changed_lock_changes_the_version(checkout: Checkout) -> None:
    (checkout.root / "poetry.lock").write_text(LOCK.replace("1.5", "1.4"))
    assert checkout.call()[1].startswith("nox 1.4 ")
    (checkout.root / "poetry.lock").write_text(LOCK)
    assert checkout.call()[1].startswith("nox 1.5 ")


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        ("", "ci/lock.py"),
        ("[[package", "poetry.lock is not a lock"),
        (LOCK.replace("1.5", "9.9"), "pip ended with 1"),
        (LOCK + '[package.source]\ntype = "legacy"\n', "ci/lock.py"),
    ],
)
def test_what_cannot_work_is_one_line_and_code_1(checkout: Checkout, lock: str, said: str) -> None:
    (checkout.root / "poetry.lock").write_text(lock)
    code, out, err = checkout.call("-l")
    (checkout.root / "poetry.lock").write_text(LOCK)
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: ")
    assert said in err.splitlines()[-1]
    assert checkout.call()[0] == 7  # and the next good call mends what that one left


def test_another_python_without_3_11_on_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 8, 1))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_nox.main(["-l"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "this is 3.8" in err
    assert "install it" in err


def test_another_python_hands_over_to_the_first_3_11_that_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken, real = tmp_path / "broken", tmp_path / "real"
    for folder in [broken, real]:
        folder.mkdir()
    # As a version manager has it: the name exists, the version is not installed.
    (broken / "python3.11").write_text("#!/bin/sh\nexit 127\n")
    (broken / "python3.11").chmod(0o755)
    (real / "python3.11").symlink_to(sys.executable)
    handed: list[list[str]] = []
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), str(broken), str(real)]))
    monkeypatch.setattr(os, "execv", lambda path, command: handed.append([path, *command]))
    monkeypatch.setattr(run_nox, "complain", lambda text: None)
    run_nox.main(["-s", "tests"])
    python = str(real / "python3.11")
    assert handed == [[python, python, str(CI / "run_nox.py"), "-s", "tests"]]


@pytest.mark.parametrize("name", ["run_nox.py", "interpreter.py"])
def test_an_old_python_can_read_what_run_nox_starts_with(name: str) -> None:
    ast.parse((CI / name).read_text(encoding="utf-8"), feature_version=(3, 6))
