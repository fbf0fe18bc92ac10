"""The files under docker/ agree with each other and with the papers; nothing that is not needed is sent."""

import json
import re
import sys
import tomllib
from pathlib import Path

import constraints
import image_base
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
PAPERS = sorted(path.parent.name for path in ROOT.glob("papers/*/src"))
STAGES = re.findall(r"(?m)^FROM \S+ AS (\S+)$", DOCKERFILE)

sys.path.insert(0, str(DOCKER))
import install  # noqa: E402

# --- Dockerfile


def test_every_paper_and_all_are_targets() -> None:
    targets = [stage for stage in STAGES if f"deps-{stage}" in STAGES]
    assert sorted(targets) == sorted([*PAPERS, "all"])
    rest = set(STAGES) - set(targets) - {f"deps-{name}" for name in targets}
    assert rest == {"runtime", "build", "source", "deps-common", "shared"}


@pytest.mark.parametrize("paper", PAPERS)
def test_a_target_gets_its_environment_before_its_source_and_nothing_of_another(paper: str) -> None:
    stage = DOCKERFILE.partition(f"FROM shared AS {paper}\n")[2].partition("FROM ")[0].strip()
    lines = [line.split(" ")[1:3] for line in stage.splitlines() if line.startswith("COPY ")]
    source, home = "--from=source", "/opt/cl-repro"
    assert lines == [
        [f"--from=deps-{paper}", f"/opt/venv/{paper}"],
        [source, f"{home}/docker"],
        [source, f"{home}/ci"],
        [source, f"{home}/core"],
        [source, f"{home}/papers/{paper}"],
    ]
    # Last: a new commit remakes no layer of files.
    assert stage.endswith(
        'ENV CL_REPRO_COMMIT=${COMMIT}\nLABEL org.opencontainers.image.revision="${COMMIT}"'
    )
    assert f"FROM deps-common AS deps-{paper}\n" in DOCKERFILE
    assert f'install.py --wheels "$WHEELS" {paper}\n' in DOCKERFILE


def test_every_image_begins_with_the_layer_that_all_share_and_all_has_every_paper() -> None:
    shared = DOCKERFILE.partition("FROM runtime AS shared\n")[2].partition("\nFROM ")[0]
    assert "COPY --from=deps-common /opt/venv/common /opt/venv/common\n" in shared
    assert f"ARG VERSION={PROJECT['project']['version']}\n" in shared
    joined = DOCKERFILE.partition("FROM build AS deps-all\n")[2].partition("\nFROM ")[0]
    assert re.findall(r"from=deps-(\w+),source=/opt/venv/\1,target=/papers/\1 ", joined) == [
        paper for paper in ("mer", "tag", "ta_agem", "rewire", "hvcl") if paper in PAPERS
    ]


def test_environments_depend_on_no_source() -> None:
    build = DOCKERFILE.partition("AS build\n")[2].partition("AS source\n")[0]
    copied = [word for line in re.findall(r"(?m)^COPY (.*)$", build) for word in line.split(" ")[:-1]]
    assert sorted(copied) == [
        "LICENSE",
        "ci/build_backend.py",
        "ci/constraints.py",
        "docker/install.py",
        "docker/symbols.py",
        "poetry.lock",
        "pyproject.toml",
    ]


def test_user_is_a_number_that_is_not_root() -> None:
    assert re.findall(r"(?m)^USER (.*)$", DOCKERFILE) == ["10001:10001"]  # kubernetes knows no names


def test_no_syntax_line_that_a_registry_would_be_asked_for() -> None:
    assert not re.search(r"(?im)^#\s*syntax=", DOCKERFILE)


# --- bake, compose, .dockerignore


def test_bake_has_the_same_targets_and_defaults() -> None:
    text = (DOCKER / "docker-bake.hcl").read_text(encoding="utf-8")
    matrix = re.search(r"paper = \[(.*)\]", text)
    assert matrix is not None
    assert sorted(re.findall(r'"(\w+)"', matrix[1])) == PAPERS
    assert re.search(r'(?m)^target "all" \{\n  inherits = \["image"\]\n  target   = "all"$', text)
    for name in set(re.findall(r"(?m)^ARG (\w+)=", DOCKERFILE)) - {"VERSION"}:  # pyproject.toml's
        default = re.search(rf'variable "{name}" {{\n  default = "(.*)"\n', text)
        assert default is not None, name
        assert f"ARG {name}={default[1]}\n" in DOCKERFILE


def test_compose_reserves_a_gpu_and_serves_what_runs_write() -> None:
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert set(services) == {"gpu", "cpu", "mlflow"}
    (device,) = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert "deploy" not in services["cpu"]
    for service in services.values():
        assert any(volume.endswith(":/results") for volume in service["volumes"])
        assert service["read_only"] is True
        assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert services["mlflow"]["build"]["target"] in PAPERS
    assert all(port.startswith("127.0.0.1:") for port in services["mlflow"]["ports"])


def test_context_is_a_list_of_what_is_wanted() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    wanted = [rule[1:] for rule in rules if rule.startswith("!")]
    copied = [line for line in re.findall(r"(?m)^COPY (.*)$", DOCKERFILE) if not line.startswith("--from")]
    assert sorted(wanted) == sorted(word for line in copied for word in line.split(" ")[:-1])
    for kept_out in [".git", ".nox", "results", "."]:
        assert kept_out not in wanted
    assert {"papers/*/results", "papers/*/tests", "**/__pycache__"} <= set(rules[len(wanted) + 1 :])


# --- what is installed


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize(
    ("wheels", "torch"), [("auto", "==2.13.0"), ("cpu", "==2.13.0+cpu"), ("cuda", "===2.13.0")]
)
def test_pins_are_those_of_the_lock_and_choose_the_build_of_torch(
    paper: str, wheels: str, torch: str
) -> None:
    lines = install.pins(ROOT / "poetry.lock", [paper], wheels)
    plain = constraints.constraints(ROOT / "poetry.lock", [paper])
    changed = [line for line, before in zip(lines, plain, strict=True) if line != before]
    assert changed == ([] if wheels == "auto" else [line for line in lines if line.startswith("torch=")])
    pinned = {want.name: want for want in map(Requirement, lines)}
    assert str(pinned["torch"].specifier) == torch


@pytest.mark.parametrize("paper", PAPERS)
def test_requirements_are_the_extra_s_and_cuda_adds_libraries(paper: str) -> None:
    asked = [*PROJECT["project"]["dependencies"], *EXTRAS[paper]]
    if paper == "tag":  # both frameworks
        asked += [text for text in EXTRAS["tag-tf"] if text not in EXTRAS["tag"]]
    assert install.requirements(PROJECT, paper, "cpu") == asked
    with_cuda = [Requirement(text) for text in install.requirements(PROJECT, paper, "cuda")]
    assert [want.name for want in with_cuda] == [Requirement(text).name for text in asked]
    assert {want.name: want.extras for want in with_cuda if want.extras} == {
        name: {extra}
        for name, extra in install.CUDA_EXTRAS.items()
        if any(text.startswith(f"{name} ") for text in asked)
    }


def test_common_is_what_every_paper_asks_for() -> None:
    present = sorted(folder.name for folder in (ROOT / "papers").iterdir() if (folder / "src").is_dir())
    assert install.packaged(PROJECT) == present
    common = install.requirements(PROJECT, install.COMMON, "cpu")
    assert "torch (==2.13.0)" in common
    for paper in PAPERS:
        assert set(common) <= {*PROJECT["project"]["dependencies"], *EXTRAS[paper]}
    extras = install.extras_of(install.COMMON, PROJECT)
    assert sorted(extras) == sorted([*PAPERS, "tag-tf"])


def test_what_is_trimmed_are_tests_headers_symbols_and_compilers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ["torch/bin/torch_shm_manager", "tensorflow/_api/v2/test/__init__.py", "numpy/core.so", "a/b.py"]
    gone = ["certifi/tests/__init__.py", "torch/test/x", "torch/include/ATen/x", "tensorflow/include/Eigen"]
    gone += [
        "sympy/core/test/x.py",
        "clang/native/libclang.so",
        "torch/bin/protoc",
        "a/b.c",
        "a/deep/tests/x",
    ]
    for name in [*kept, *gone]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "link.so").symlink_to(tmp_path / "numpy" / "core.so")
    stripped: list[str] = []
    monkeypatch.setattr(install, "drop_symbols", lambda library: stripped.append(library.name))
    install._trim(tmp_path)
    assert [name for name in gone if (tmp_path / name).exists()] == []
    assert [name for name in kept if not (tmp_path / name).exists()] == []
    assert stripped == ["core.so"]


def test_cuda_libraries_of_the_common_environment_are_shown_beside_a_framework(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "ENVS", tmp_path)
    shared, own = (tmp_path / name / "lib/python3.11/site-packages" for name in (install.COMMON, "rewire"))
    for place in (shared / "nvidia/cu13/lib/libcublas.so", own / "nvidia/cu13/lib/libnvrtc.so"):
        place.parent.mkdir(parents=True)
        place.write_text(place.name)
    install._link_cuda(own)
    assert not (own / "nvidia/cu13/lib/libcublas.so").exists()  # no framework here asks for it
    (own / "jax_cuda13_plugin").mkdir()
    install._link_cuda(own)
    assert (own / "nvidia/cu13/lib/libcublas.so").read_text() == "libcublas.so"
    assert not (own / "nvidia/cu13/lib/libnvrtc.so").is_symlink()


def test_inventory_has_the_licences_that_an_old_pip_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "x-1.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.4\nName: x\nLicense-Expression: MIT\n")
    package = {
        "metadata": {"name": "x", "version": "1", "description": "long"},
        "metadata_location": str(place),
    }
    told = json.dumps({"installed": [package]})
    install._write_inventory([sys.executable, "-c", f"print({told!r})"], tmp_path)
    (written,) = json.loads((tmp_path / "inventory.json").read_text())["installed"]
    assert written["metadata"] == {"name": "x", "version": "1", "license_expression": "MIT"}


# --- what a build is told of this machine


def test_pip_settings_are_read_and_variables_win() -> None:
    told = (
        "global.index-url='scheme:global'\nglobal.cert='/a.pem'\ninstall.find-links='here there'\n"
        ":env:.index-url='scheme:variable'\nlist.format='columns'\nnonsense\n"
    )
    assert image_base.parse_settings(told) == {
        "index-url": "scheme:variable",
        "cert": "/a.pem",
        "find-links": "here there",
    }


def test_local_folders_are_served_and_addresses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "x.whl").write_bytes(b"wheel")
    (tmp_path / "index" / "simple").mkdir(parents=True)
    settings = {
        "find-links": f"{tmp_path}/wheels",
        "extra-index-url": f"file://{tmp_path}/index/simple http://pip.invalid/there",
        "cert": "/nonexistent.pem",
    }
    monkeypatch.setattr(image_base, "pip_settings", lambda: settings)
    import configparser
    import urllib.request

    with image_base.pip_secrets(tmp_path / "secrets") as words:
        assert words == ["--secret", f"id=pip,src={tmp_path}/secrets/pip.conf"]
        conf = configparser.ConfigParser()
        conf.read(tmp_path / "secrets" / "pip.conf")
        wheels = conf["global"]["find-links"].strip()
        assert conf["global"]["trusted-host"].strip() in wheels
        with urllib.request.urlopen(f"{wheels}x.whl") as answer:
            assert answer.read() == b"wheel"
        local, remote = conf["global"]["extra-index-url"].split()
        assert local.endswith("/simple/")
        assert remote == "http://pip.invalid/there"
