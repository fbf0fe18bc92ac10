"""The wheel holds what an installed `cl-repro` needs, and works in an empty folder far from a checkout."""

import base64
import csv
import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAPERS = ("mer", "ta_agem", "tag", "rewire", "hvcl")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by pip, as a user or an image would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with this wheel; its packages are those that run this test."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False)
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # A .pth comes after the environment's own packages, so what is imported as clrepro is the wheel's.
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CL_REPRO_HOME")}
    command = [str(installed / "python"), *words]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=300)


def test_record_names_every_file_with_its_hash(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (record,) = [name for name in archive.namelist() if name.endswith("/RECORD")]
        rows = {row[0]: row for row in csv.reader(archive.read(record).decode().splitlines())}
        assert sorted(rows) == sorted(archive.namelist())
        for name in rows.keys() - {record}:
            digest = hashlib.sha256(archive.read(name)).digest()
            assert rows[name][1] == "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), name
            assert int(rows[name][2]) == archive.getinfo(name).file_size


def test_a_wheel_made_from_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"  # pip itself makes no sdist
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "install", "-q", "--target", str(tools), "poetry-core>=2.2,<3.0"], check=True)
    code = "import build_backend, sys; build_backend.build_sdist(sys.argv[1])"
    path = os.pathsep.join([str(ROOT / "ci"), str(tools)])
    build = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(build, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    command = [*pip, "wheel", "--no-deps", "-q", "-w", str(tmp_path), str(sdist)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    (again,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())


def test_it_brings_what_commands_read_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for paper in PAPERS:
        assert {f"clrepro/_checkout/papers/{paper}/{file}.toml" for file in ("profiles", "claims")} <= names
        assert f"clrepro/_checkout/ci/baselines/{paper}.json" in names
        assert f"{paper}_repro/__main__.py" in names
    assert "clrepro/_checkout/papers/rewire/configs/rewire.yaml" in names
    assert "clrepro/py.typed" in names
    assert not [name for name in names if "/tests/" in name]
    assert wheel.stat().st_size < 8 << 20


def test_list_report_and_check_work_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    said = run(installed, tmp_path, "-c", "import clrepro; print(clrepro.__file__)").stdout
    assert str(ROOT) not in said
    for words in (["list"], ["report", "--out", "out"], ["compare", "ls"]):
        done = run(installed, tmp_path, "-m", "clrepro.cli", *words)
        assert done.returncode == 0, (words, done.stderr)
    assert (tmp_path / "out" / "report.html").is_file()
    done = run(installed, tmp_path, "-m", "clrepro.cli", "check", "mer", "--out", "out")
    assert done.returncode != 0  # nothing was run
    assert "Traceback" not in done.stderr
    done = run(installed, tmp_path, "-m", "clrepro.cli", "report", "--update-readmes")
    assert done.returncode == 2
    assert "checkout" in done.stderr


def test_a_row_of_mer_is_reproduced_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    words = ["-m", "clrepro.cli", "reproduce", "mer", "--only", "rotations/online", "--seeds", "1"]
    done = run(installed, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "| rotations | online | 1 |" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    done = run(installed, tmp_path, "-m", "mer_repro", "--help")
    assert done.returncode == 0
    assert "--model" in done.stdout
