"""docker/tools with a fake docker that writes down what it is asked; nox -s docker has a real one."""

import datetime
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import engine
import image
import image_base
import image_inventory
import image_layers
import image_runs
import image_turn
import images
import pytest

TOOLS = Path(images.__file__).parent
# Tells every call in one line of the file $TOLD; `run` ends with $CODE, `build` with $BUILD_CODE.
DOCKER = """#!/bin/sh
echo "$*" >> "$TOLD"
case $1 in
run) echo "out of the container"; exit "${CODE:-0}" ;;
build) echo "words of the build" >&2; exit "${BUILD_CODE:-0}" ;;
info) echo "${RUNTIMES:-}" ;;
version) exit "${VERSION_CODE:-0}" ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The calls of the fake docker so far, with the words of each as one text."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    told = tmp_path / "told"
    told.touch()
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    monkeypatch.setenv("TOLD", str(told))
    monkeypatch.delenv("CL_REPRO_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda: told.read_text().splitlines()


def call(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(TOOLS / "images.py"), *words], capture_output=True, text=True, timeout=60
    )


def test_run_builds_the_paper_and_hands_flags_and_folders_on(
    docker: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE", "7")
    done = call("run", "mer", "--profile", "full", "--out", "my results", "--seeds", "2", "--data_dir=sets")
    assert (done.returncode, done.stdout) == (7, "out of the container\n"), done.stderr
    (built,) = [line for line in docker() if line.startswith("build ")]
    assert "--target mer --tag cl-repro:mer" in built
    assert "WHEELS=auto" in built
    (ran,) = [line for line in docker() if line.startswith("run ")]
    assert ran.endswith("cl-repro:mer mer --profile full --seeds 2")
    assert f"--volume {tmp_path}/my results:/results --volume {tmp_path}/sets:/data:ro" in ran
    assert f"--user {os.getuid()}:{os.getgid()}" in ran
    assert "--gpus" not in ran
    assert "--network" not in ran  # this engine has one
    assert (tmp_path / "my results").is_dir()


def test_run_asks_for_the_gpus_that_the_engine_can_give(
    docker: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMES", '{"nvidia":{},"runc":{}}')
    assert call("run", "ta_agem").returncode == 0
    assert "--gpus all cl-repro:ta_agem ta_agem" in docker()[-1]


def test_run_rounds_like_the_machine_around_it(
    docker: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert call("run", "mer").returncode == 0
    assert "--env OPENBLAS_CORETYPE " in docker()[-1]


def test_a_build_that_fails_ends_with_its_words_and_1(
    docker: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_CODE", "3")
    for command in (["run", "mer"], ["check", "mer"]):
        done = call(*command)
        assert done.returncode == 1
        assert "docker build of mer ended with 3:\nwords of the build" in done.stderr
        assert "Traceback" not in done.stderr


def test_broken_promises_are_counted_and_fail(docker: Callable[[], list[str]]) -> None:
    done = call("check", "mer")  # a docker that says the same to everything keeps none
    assert done.returncode == 1
    assert "BROKEN mer      help" in done.stdout
    assert "promises broken" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("command", "code", "word"), [("check", 0, "skipped"), ("run", 1, "error")])
def test_without_an_engine_the_check_is_skipped_and_a_run_fails(
    command: str, code: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "running_client", lambda: "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert images.main([command, "mer"]) == code
    out, err = capsys.readouterr()
    reason = "no container engine runs here, and only root can start one"
    assert (out, err) == ("", f"{word}: no container engine: {reason}\n")


def test_an_engine_that_does_not_start_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "dockerd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no permission here >&2\nexit 1\n")
    program.chmod(0o755)
    for name in engine.PROGRAMS[1:]:
        shutil.copy("/bin/true", program.with_name(name))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    monkeypatch.setattr(engine.tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setattr(engine, "running_client", lambda: "")
    monkeypatch.setattr(engine, "_answers", lambda *_: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(engine.NoEngine, match="dockerd does not start here: no permission here"):
        with engine.engine():
            pass
    assert list((tmp_path / "scratch").iterdir()) == []


def test_base_is_the_dockerfile_s_default() -> None:
    assert image_base.default_base(image.DOCKERFILE).startswith("python:3.11-slim")


def test_original_commands_are_the_profile_s_with_the_container_s_folders() -> None:
    first, second = image_runs.original_commands("mer")
    assert first[:2] == ["get_data.py", "all"]
    assert first[-1] == "/results/data"
    assert second[0] == "main.py"
    assert not any("{" in word for word in second)


RECORD = {
    "seed": 0,
    "metrics": {"RA": 0.5},
    "cost": {"wall_s": 1.0},
    "versions": {"python": "3.11.2"},
    "sha256": "1" * 64,
}


def test_records_are_compared_without_cost_and_versions() -> None:
    other = RECORD | {"cost": {}, "versions": {}, "origin": {"commit": "0" * 40}, "sha256": "0" * 64}
    more = {"a/seed0.json": other, "a/seed1.json": other | {"seed": 1}}  # another seed is none of ours
    assert image_runs.compare({"a/seed0.json": RECORD}, more) == 1


@pytest.mark.parametrize(
    ("inside", "outside", "words"),
    [
        ({}, {"a": RECORD}, "there is no record"),
        ({"a": RECORD}, {}, "has no record a"),
        ({"a": RECORD}, {"a": RECORD | {"metrics": {"RA": 0.5000001}}}, "a: metrics differs"),
        ({"a": RECORD}, {"a": RECORD, "b": RECORD}, "1 records are missing"),
    ],
)
def test_a_difference_of_records_is_named(
    inside: dict[str, dict[str, object]], outside: dict[str, dict[str, object]], words: str
) -> None:
    with pytest.raises(image.CheckFailed, match=words):
        image_runs.compare(inside, outside)


# --- what is in the layers


def layer(names: list[str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return packed.getvalue()


def saved(layers: dict[str, bytes]) -> bytes:
    """What `docker save` writes of an image with `layers`, place in the archive -> archive."""
    files = {"0123/json": b"{}", "blobs/sha256/c0": b'{"architecture": "amd64"}', **layers}
    files["manifest.json"] = json.dumps([{"Layers": list(layers)}]).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def engine_that_saves(folder: Path, layers: dict[str, bytes], digests: list[str]) -> engine.Engine:
    (folder / "image.tar").write_bytes(saved(layers))
    client = folder / "docker"
    client.write_text(f"""#!/bin/sh
case $1 in save) cat '{folder}/image.tar' ;; *) echo '{json.dumps(digests)}' ;; esac
""")
    client.chmod(0o755)
    return engine.Engine(str(client), folder, own=False)


SITE = "opt/venv/common/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("what", "paths"),
    [
        ("a compiler", ["usr/bin/gcc-12", "usr/bin/x86_64-linux-gnu-ld", f"{SITE}/clang/native/libclang.so"]),
        ("a package cache", ["var/cache/pip/http/x", "var/lib/apt/lists/deb_dists", "root/.cache/pip/x"]),
        ("tests", [f"{SITE}/certifi/tests/__init__.py", "opt/cl-repro/papers/mer/tests/test_x.py"]),
        ("results", ["results/mer/table.md", "opt/cl-repro/papers/mer/results/quick/records.jsonl"]),
    ],
)
def test_what_no_layer_may_hold_is_found_even_where_a_later_layer_removes_it(
    what: str, paths: list[str], tmp_path: Path
) -> None:
    good = [
        "usr/bin/python3",
        f"{SITE}/torch/testing/_comparison.py",
        "usr/bin/as31",
        "var/lib/apt/lists/lock",
    ]
    layers = {
        "a/layer.tar": layer([*good, *(f"./{path}" for path in paths)]),
        "blobs/sha256/b": layer(["etc/x"]),
    }
    found = image_layers.read_layers(engine_that_saves(tmp_path, layers, ["sha256:1", "sha256:2"]), "x")
    assert {kind: names for kind, names in found.unwanted.items() if names} == {what: paths}
    assert found.n_files == len(good) + len(paths) + 1
    assert found.sizes == {"sha256:1": len(layers["a/layer.tar"]), "sha256:2": len(layers["blobs/sha256/b"])}


def test_an_image_that_is_not_saved_whole_is_an_error(tmp_path: Path) -> None:
    short = engine_that_saves(tmp_path, {"a/layer.tar": layer(["x"])}, ["sha256:1", "sha256:2"])
    with pytest.raises(image.CheckFailed, match="with 0 and 1 layers"):
        image_layers.read_layers(short, "x")


def test_an_image_adds_what_no_other_holds() -> None:
    mer, every = {"base": 10, "common": 50, "mer": 7}, {"base": 10, "common": 50, "rest": 30}
    assert image_layers.shared_and_own(mer, []) == (0, 67)
    assert image_layers.shared_and_own(every, [mer, {"other": 1}]) == (60, 30)


# --- licences


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"license_expression": "MIT", "license": "something else"}, "MIT"),
        ({"license": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"license": "UNKNOWN", "classifier": ["License :: OSI Approved :: MIT License"]}, "MIT License"),
        ({"license": "Copyright\n" * 99, "classifier": ["License :: OSI Approved :: ISC"]}, "ISC"),
        ({"license": "Apache License\nVersion 2.0 ..."}, "Apache License"),
        ({}, ""),
    ],
)
def test_the_licence_of_a_package_is_named(metadata: dict[str, object], named: str) -> None:
    assert image_inventory.licence(metadata) == named


def test_packages_of_several_environments_are_listed_once_with_their_licences() -> None:
    def inventory(*names: str) -> dict[str, object]:
        return {"installed": [{"metadata": {"name": n, "version": "1", "license": "MIT"}} for n in names]}

    packages = image_inventory.distinct({"common": inventory("torch"), "mer": inventory("Numba", "torch")})
    assert [package["name"] for package in packages] == ["Numba", "torch"]
    page = image_inventory.licence_table("x", packages, ["bash 5"])
    assert "| torch | 1 | MIT |\n" in page
    assert "1 Debian packages" in page
    assert page.endswith("- bash 5\n")


# --- whose turn it is

PAPERS = ["hvcl", "mer", "rewire"]
DAY = datetime.date(2026, 1, 1)


def test_all_papers_have_their_turn_one_a_day() -> None:
    days = [DAY + datetime.timedelta(days=n) for n in range(3)]
    assert sorted(name for day in days for name in image_turn.due(PAPERS, [], day)) == PAPERS


def test_a_paper_that_changed_is_always_built_and_never_more_than_two() -> None:
    for n in range(6):
        day = DAY + datetime.timedelta(days=n)
        for paper in PAPERS:
            chosen = image_turn.due(PAPERS, [paper], day)
            assert paper in chosen
            assert len(chosen) == len(set(chosen)) <= 2
        assert len(image_turn.due(PAPERS, PAPERS, day)) <= 2


def test_changed_papers_are_asked_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        names = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *names, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    monkeypatch.setattr(image_turn, "ROOT", tmp_path)
    monkeypatch.delenv(image_turn.BASE, raising=False)
    git("init", "--quiet")
    commits = []
    for name in ("papers/mer/a b.py", "papers/tag/x", "docs/x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
        git("add", ".")
        git("commit", "--quiet", "--message", name)
        commits.append(git("rev-parse", "HEAD"))
    assert image_turn.changed_papers() == set()  # the last commit changed the docs only
    monkeypatch.setenv(image_turn.BASE, commits[0])
    assert image_turn.changed_papers() == {"tag"}
    monkeypatch.setenv(image_turn.BASE, "0" * 40)  # a forge's word for: there was none
    assert image_turn.changed_papers() == set()
    git("reset", "--quiet", "--hard", commits[1])
    assert image_turn.changed_papers() == {"tag"}
    git("reset", "--quiet", "--hard", commits[0])  # no parent, as in a shallow clone
    assert image_turn.changed_papers() == set()


def test_words_of_the_command_line_mean_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_turn, "due_today", lambda papers: ["mer"])
    papers = images.present()
    assert images._named(["all"]) == [*papers, "all"]
    assert images._named(["due"]) == ["mer"]
    assert images._named(["tag", "together", "tag"]) == ["tag", "all"]


# --- figures and READMEs


def test_the_table_has_a_dash_for_what_was_not_measured() -> None:
    line = images.row("mer", {"size": "1.02 GB", "equal": "32 of 32"})
    assert line == "| `mer` | 1.02 GB | – | – | – | – | 32 of 32 | – |"
    assert line.count("|") == images.HEAD.splitlines()[0].count("|") == images.HEAD.splitlines()[1].count("|")


@pytest.mark.parametrize("paper", images.present())
def test_every_readme_has_small_command_lines_of_programs_that_are_there(paper: str) -> None:
    commands = image_runs.readme_commands(paper)
    assert commands
    for command in commands:
        words = command.split()
        assert words[0] == "python"
        assert "#" not in command
        if words[1] != "-m":
            assert (image_runs.ROOT / "papers" / paper / words[1]).is_file(), command


@pytest.mark.parametrize(
    ("records", "states", "ready"), [(0, 1, False), (1, 0, False), (1, 1, True), (2, 0, True)]
)
def test_a_sweep_is_stopped_when_a_run_is_done_and_another_has_a_checkpoint(
    records: int, states: int, ready: bool, tmp_path: Path
) -> None:
    quick = tmp_path / "mer" / "quick"
    for number in range(records):
        (quick / "records" / "a").mkdir(parents=True, exist_ok=True)
        (quick / "records" / "a" / f"seed{number}.json").write_text("{}")
    for number in range(states):
        (quick / "work" / "b" / f"seed{number}").mkdir(parents=True)
        (quick / "work" / "b" / f"seed{number}" / "run.state").touch()
    assert image_runs._ready(tmp_path, "mer", enough=2) is ready
