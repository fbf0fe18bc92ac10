"""docker/tools with a fake docker that writes down what it is asked; nox -s docker has a real one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import engine
import image
import image_base
import image_runs
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
