"""The command line of the README, from the paper's folder; mistakes end in one line and a code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rewire_repro import config
from rewire_repro.cli import split

pytest.importorskip("hydra")
PAPER = Path(__file__).resolve().parents[1]
TINY = [
    "scenario=toy/robustness", "profile=quick", "scenario.n_steps=400", "scenario.tasks=[plain,inverted]",
    "framework.params.policy_agent.hidden_size=8",
]  # fmt: skip


def run(*words, code=0, cwd=PAPER, **variables):
    """Run run.py; returns (stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, str(PAPER / "run.py"), *map(str, words)], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_a_run_leaves_its_files_in_the_originals_folder(tmp_path):
    out, _ = run("-cn=ft_n", *TINY, "framework.params.checkpoint=True", cwd=tmp_path)
    assert "task 1 (inverted) learnt" in out
    (folder,) = (tmp_path / "run" / "toy_robustness" / "ft_n").iterdir()
    names = {path.name for path in folder.iterdir()}
    wanted = {
        "policy_0.dat",
        "critic_1.dat",
        "metrics.jsonl",
        "params.json",
        "results.json",
        "train.state",
        ".hydra",
    }
    assert wanted <= names
    assert json.loads((folder / "results.json").read_text())["method"] == "ft_n"


def test_multirun_makes_a_folder_per_seed(tmp_path):
    run("--multirun", "-cn=ft_1", *TINY, "seed=0,1", "logger=jsonl", cwd=tmp_path)
    (folder,) = (tmp_path / "multirun" / "toy_robustness" / "ft_1").iterdir()
    seeds = [json.loads((folder / job / "results.json").read_text())["seed"] for job in ("0", "1")]
    assert seeds == [0, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-cn=rewier"], "no such method; one of rewire, ft_1"),
        (["scenario=ant/moon"], "no such scenario; one of ant/compositionality"),
        (["seed=x"], "seed='x'"),
        (["scenario.n_stepps=1"], "n_stepps"),
        (["device=cuda", *TINY], "no usable GPU"),
        (["scenario=toy/forgetting", "scenario.tasks=[upside_down]"], "there are plain, heavy_drag"),
        (["framework.params.path=/nowhere", *TINY], "no such folder"),
    ],
)
def test_mistakes_end_in_one_line_and_code_2(words, said, tmp_path):
    _, err = run(*words, code=2, cwd=tmp_path)
    assert said in err
    assert len([line for line in err.splitlines() if line.startswith("error:")]) == 1


def test_help_names_every_method_and_scenario():
    out, _ = run("--help")
    words = out.split()
    assert set(config.METHODS) <= set(words)
    triplets = {f"continual_world/t{i}" for i in range(2, 8)}  # t1 ... t8
    assert set(config.scenarios()) - triplets <= set(words)


def test_a_run_that_diverges_ends_in_one_line_and_code_1(tmp_path):
    _, err = run("-cn=ft_1", *TINY, "framework.params.algorithm.params.lr_q=1e30", code=1, cwd=tmp_path)
    assert "error: task 0 (plain) of ft_1: step" in err
    assert "diverged" in err
    (folder,) = (tmp_path / "run" / "toy_robustness" / "ft_1").iterdir()
    assert (folder / "diverged.state").is_file()


@pytest.mark.parametrize(
    ("package", "scenario"), [("brax", "ant/transfer"), ("metaworld", "continual_world/t1")]
)
def test_a_simulator_that_is_not_installed_is_named_with_its_extra(package, scenario, tmp_path):
    absent = f"raise ModuleNotFoundError(\"No module named '{package}'\", name={package!r})"
    (tmp_path / f"{package}.py").write_text(absent)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    _, err = run(f"scenario={scenario}", "profile=quick", code=1, cwd=tmp_path, PYTHONPATH=path)
    assert f"error: No module named '{package}'; run pip install -e '.[rewire]'" in err


def test_wandb_is_asked_for_and_absent(tmp_path):
    if subprocess.run([sys.executable, "-c", "import wandb"], capture_output=True).returncode == 0:
        pytest.skip("wandb is installed here")
    _, err = run("logger=wandb", *TINY, code=1, cwd=tmp_path)
    assert "logger=wandb: the package is not installed; pip install wandb" in err


def test_a_dry_run_says_what_it_built(composed, tmp_path, capsys):
    from clrepro.io.checkpoint import RunDir
    from rewire_repro import experiment

    one = composed("csp", "scenario=humanoid/hard", "dry_run=True", "device=cpu")
    assert experiment.run(one, {}, RunDir(tmp_path), RunDir(tmp_path)) is None
    assert "csp on humanoid/hard: composes; 203042 parameters" in capsys.readouterr().out


def test_splitting_a_command_line():
    assert split(["-cn=csp", "seed=1"]) == ("csp", ["seed=1"], [])
    assert split(["--config-name", "ewc", "-m", "seed=1,2"]) == ("ewc", ["seed=1,2"], ["-m"])
    assert split([]) == ("rewire", [], [])


def test_every_command_of_the_profiles_composes(composed):
    import shlex
    import tomllib

    profiles = tomllib.loads((PAPER / "profiles.toml").read_text())
    assert {name: len(profiles[name]["row"]) for name in ("quick", "medium")} == {"quick": 9, "medium": 45}
    assert len(profiles["full"]["row"]) == 9 * 18 + 8  # rewire without its knowledge of the repetition
    for name in ("quick", "medium"):
        for row in profiles[name]["row"]:
            program, *words = shlex.split(row["command"].format(seed=1, artefacts="/tmp/x"))
            method, overrides, flags = split(words)
            made = composed(method, *(word for word in overrides if not word.startswith("hydra.")))
            assert (program, flags) == ("run.py", [])
            assert made.method == row["method"]
            assert f"{made.scenario.domain}/{made.scenario.name}" == row["setting"]
