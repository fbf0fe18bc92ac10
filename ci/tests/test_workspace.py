"""The workspace's own promises: layout, lock, constraints, sessions, nothing of one machine."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import constraints
import lock
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKED = tomllib.loads((ROOT / "poetry.lock").read_text(encoding="utf-8"))
PAPERS = sorted(folder.name for folder in (ROOT / "papers").iterdir() if (folder / "src").is_dir())
VERBS = ["env", "tests", "reproduce"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
ASKED = [*PROJECT["project"]["dependencies"], *(want for wants in EXTRAS.values() for want in wants)]


def tracked() -> list[Path]:
    """The text files of the repository; outside a checkout, those of the source tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = [path for folder in ["core", "papers", "ci", "docker"] for path in (ROOT / folder).rglob("*")]
    kinds = {".py", ".sh", ".toml", ".md", ".yml", ".yaml", ".cff", ".lock", ".txt", ".json", ""}
    return [path for path in found if path.is_file() and path.suffix in kinds]


# --- layout


def test_every_paper_is_packaged_and_has_an_extra() -> None:
    packages = {(entry["include"], entry["from"]) for entry in PROJECT["tool"]["poetry"]["packages"]}
    assert packages == {("clrepro", "core/src")} | {
        (f"{paper}_repro", f"papers/{paper}/src") for paper in PAPERS
    }
    assert set(PAPERS) <= set(EXTRAS)
    assert set(EXTRAS) == {*PAPERS, "tag-tf", "ray", "peers", "faults", "dev"}


def test_no_folder_that_would_shadow_a_package() -> None:
    folders = ["core", "papers", "docker", "ci", *(f"papers/{paper}" for paper in PAPERS)]
    folders += [str(path.relative_to(ROOT)) for path in ROOT.glob("**/tests") if ".nox" not in path.parts]
    assert [folder for folder in folders if (ROOT / folder / "__init__.py").exists()] == []


def test_no_catch_all_modules() -> None:
    names = {"utils.py", "helpers.py", "common.py", "base.py", "misc.py"}
    sources = [ROOT / "core" / "src", *(ROOT / "papers" / paper / "src" for paper in PAPERS)]
    assert [path for source in sources for path in source.rglob("*.py") if path.name in names] == []


def test_one_version_everywhere() -> None:
    version = PROJECT["project"]["version"]
    program = (ROOT / "core" / "src" / "clrepro" / "__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{version}"' in program
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_workflows_are_files_and_ci_can_start() -> None:
    """GitHub follows no symbolic link there: a linked folder means that CI never runs."""
    github = ROOT / ".github"
    assert list((github / "workflows").glob("*.yml"))
    assert [path for path in [github, *github.rglob("*")] if path.is_symlink()] == []
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")


def test_nightly_runs_the_trials_and_every_image() -> None:
    text = (ROOT / ".github" / "workflows" / "nightly.yml").read_text(encoding="utf-8")
    assert "run_nox.py -s docker -- all " in text
    assert "session: [slurm, s3]" in text
    assert {"docker", "slurm", "s3"} <= set(sessions(ROOT))


# An index's address, the folders of the machine that this was written on, and the flag that takes an address.
FORBIDDEN = [r"https?://[^ ]*/simple(/|\b)(?!-)", r"(^|[^.\w])/(work|root)/", r"--(extra-)?index-url"]


def test_no_machine_path_and_no_index_address_in_a_tracked_file() -> None:
    allowed = {"ci/lock.py": FORBIDDEN[2]}  # asks pip for the value of that flag
    guilty = [
        f"{name}:{number}: {line[:80]}"
        for path in tracked()
        for name in [str(path.relative_to(ROOT))]
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for pattern in FORBIDDEN
        if re.search(pattern, line) and allowed.get(name) != pattern and path != Path(__file__).resolve()
    ]
    assert guilty == []


# --- dependencies and lock


@pytest.mark.parametrize(
    "name",
    ["torchvision", "quadprog", "rliable", "tensorflow-addons", "tensorflow-cpu", "pybullet-gym", "salina"],
)
def test_unwanted_packages_are_not_locked(name: str) -> None:
    assert name not in {package["name"] for package in LOCKED["package"]}


def test_lock_fits_the_project() -> None:
    versions = {package["name"]: package["version"] for package in LOCKED["package"]}
    assert len(versions) == len(LOCKED["package"])  # one version each: constraints cannot contradict
    for text in ASKED:
        want = Requirement(text)
        assert want.specifier.contains(versions[canonicalize_name(want.name)]), text
    assert LOCKED["extras"] == {
        canonicalize_name(extra): sorted(wants, key=str) for extra, wants in EXTRAS.items()
    }


def test_locked_entries_are_names_and_hashes() -> None:
    for package in LOCKED["package"]:
        assert "source" not in package
        assert package["files"]
        for entry in package["files"]:
            assert set(entry) == {"file", "hash"}
            assert "/" not in entry["file"]
            assert entry["hash"].startswith("sha256:")


def test_frameworks_are_pinned_alike_in_all_extras() -> None:
    assert "torch (==2.13.0)" in EXTRAS["mer"]
    lock.scratch_project(PROJECT["project"], "scheme:nowhere")  # raises if two extras ask differently


def test_two_ways_to_ask_are_refused() -> None:
    project = {
        "requires-python": ">=3.11,<3.12",
        "dependencies": ["numpy (>=2)"],
        "optional-dependencies": {"a": ["torch (==2)"], "b": ["torch (==3)"]},
    }
    with pytest.raises(ValueError, match="torch in two ways"):
        lock.scratch_project(project, "scheme:nowhere")


def test_cleaned_lock_loses_the_source_and_takes_extras_and_hash() -> None:
    source = '\n[package.source]\ntype = "legacy"\nurl = "scheme:there"\nreference = "scratch"\n'
    rest = '\n[extras]\na-b = ["x"]\n\n[metadata]\ncontent-hash = "old"\n'
    made = f'# made\n\n[[package]]\nname = "x"\nversion = "1"\n{source}{rest}'
    project: dict[str, object] = {"dependencies": [], "optional-dependencies": {"a_b": ["x (>=1)"]}}
    clean = lock.cleaned(made, project, "new")
    assert "scheme:there" not in clean
    assert tomllib.loads(clean) == {
        "package": [{"name": "x", "version": "1"}],
        "extras": {"a-b": ["x (>=1)"]},
        "metadata": {"content-hash": "new"},
    }
    dressed = lock.with_source(clean, "scheme:there")
    assert tomllib.loads(dressed)["package"][0]["source"]["url"] == "scheme:there"
    twice = made.replace("[[package]]", '[[package]]\nname = "x"\nversion = "2"\n\n[[package]]')
    with pytest.raises(LookupError, match="two versions of x"):
        lock.cleaned(twice, project, "new")


# --- constraints


def write_lock(folder: Path, marker: str) -> Path:
    path = folder / "poetry.lock"
    path.write_text(f"[[package]]\nname = 'x'\nversion = '1'\nmarkers = {marker}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("""'extra == "mer"'""", True),
        ("""'extra == "tag"'""", False),
        ("""'"ta-agem" == extra'""", True),
        ("""'extra != "mer"'""", False),
        ("""'extra == "tag" or extra == "ta-agem"'""", True),
        ("""'extra == "mer" and sys_platform == "nowhere"'""", False),
        ("""'python_version >= "3" and (extra == "tag" or extra == "mer")'""", True),
        ("""{ main = 'extra == "tag"' }""", False),
    ],
)
def test_constraints_decide_extras_and_leave_the_machine_to_pip(
    tmp_path: Path, marker: str, holds: bool
) -> None:
    (line,) = constraints.constraints(write_lock(tmp_path, marker), ["mer", "ta_agem"])
    want = Requirement(line)
    assert (want.name, str(want.specifier)) == ("x", "==1")
    assert want.marker is not None
    assert "extra" not in str(want.marker)
    assert want.marker.evaluate() is holds


@pytest.mark.parametrize("paper", sorted(set(EXTRAS) - {"dev", "ray"}))
def test_constraints_of_each_paper_pin_what_it_asks_for(paper: str) -> None:
    lines = constraints.constraints(ROOT / "poetry.lock", [paper, "dev"])
    wanted = [Requirement(line) for line in lines]
    here = {want.name for want in wanted if want.marker is None or want.marker.evaluate()}
    asked = [*PROJECT["project"]["dependencies"], *EXTRAS[paper], *EXTRAS["dev"]]
    assert {canonicalize_name(Requirement(text).name) for text in asked} <= here


# --- sessions


def sessions(root: Path) -> dict[str, bool]:
    """Session name -> whether a plain `nox` runs it, of the checkout in `root`."""
    command = [sys.executable, "-m", "nox", "-f", str(root / "noxfile.py"), "--list", "--nocolor"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert listed.returncode == 0, listed.stderr
    return {name: sign == "*" for sign, name in re.findall(r"(?m)^([*-]) (\S+) -> ", listed.stdout)}


def test_sessions_of_a_checkout_with_two_papers(tmp_path: Path) -> None:
    shutil.copy(ROOT / "noxfile.py", tmp_path)
    (tmp_path / "ci").mkdir()
    for name in ["constraints.py", "environments.py", "interpreter.py", "lanes.py"]:
        shutil.copy(ROOT / "ci" / name, tmp_path / "ci")
    for paper in ["mer", "ta_agem"]:
        (tmp_path / "papers" / paper / "src").mkdir(parents=True)
    (tmp_path / "papers" / "notes").mkdir()  # not a paper: no src
    found = sessions(tmp_path)
    papers = {f"{verb}-{name}" for verb in VERBS for name in ["mer", "ta_agem", "ta-agem"]}
    shared = {"lint", "typecheck", "tests", "tests-core", "reproduce", "report", "data", "check", "bench"}
    assert set(found) == papers | shared | {"docker", "audit", "faults", "slurm", "s3"}
    assert {name for name, default in found.items() if default} == {"lint", "typecheck", "tests"}


def test_every_paper_here_has_its_sessions() -> None:
    assert {f"{verb}-{paper}" for paper in PAPERS for verb in VERBS} <= set(sessions(ROOT))
