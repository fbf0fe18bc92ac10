"""`main.py` and the scripts: as subprocesses from the paper's folder where the process matters, else inside
this one, because starting torch takes longer than the work.
"""

import csv
import json
import os
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tag_repro import streams
from tag_repro.cli import PROGRAMS, run_program
from tag_repro.scripts import commands as lines
from tag_repro.scripts import run
from tag_repro.scripts.run import SCRIPTS
from tag_repro.stable_sgd import cli as stable_cli
from tag_repro.tag import cli as tag_cli

pytest.importorskip("sklearn")
PAPER = Path(__file__).resolve().parents[1]
FAST = ["--profile", "quick", "--tasks", "2", "--hiddens", "16", "--batch-size", "100"]


def call(*words, cwd=PAPER, code=0):
    """Run a command; returns (stdout, stderr)."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the scripts say `python`
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": places, "CL_REPRO_PROGRESS_S": "inf"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def main(capfd, monkeypatch):
    """`python -m main` inside this process; returns (stdout, stderr)."""
    monkeypatch.chdir(PAPER)
    monkeypatch.setenv("CL_REPRO_PROGRESS_S", "inf")  # however slow the machine is

    def run(*words, code=0):
        assert tag_cli.main(list(map(str, words))) == code
        return tuple(capfd.readouterr())

    return run


def test_every_flag_has_the_originals_default():
    settings = tag_cli.parse([]).settings
    for name, value in {
        "tasks": 5, "epochs_per_task": 1, "dataset": "rot-mnist", "batch_size": 10, "lr": 0.1, "gamma": 0.4,
        "dropout": 0.25, "hiddens": 256, "opt": "", "tag_opt": "adam", "b": 5, "runs": 3,
            "seed": 1,  # there 0, which trains 1, 2 and 3: the same runs by default
        "hyp_gs": "", "mem_size": 1, "multi": 0, "lambd": 1, "compute_eigenspectrum": False,
    }.items():  # fmt: skip
        assert getattr(settings, name) == value
    for words, fisher in (("", "original-wrong-mask"), ("--ewc-fisher empirical", "empirical")):
        settings = tag_cli.parse(["--compat", "original", *words.split()]).settings
        assert settings.ewc_fisher == fisher


def test_this_program_alone_loads_cifar100_under_the_name_of_cifar10(capfd):
    assert tag_cli.parse(["--dataset", "cifar10", "--tasks", "20"]).settings.dataset == "cifar100"
    assert stable_cli.parse(["--dataset", "cifar-100", "--tasks", "20"]).settings.dataset == "cifar100"
    assert stable_cli.main(["--dataset", "cifar10", "--tasks", "20"]) == 2
    stderr = capfd.readouterr().err
    assert "--dataset cifar10: one of rot-mnist, perm-mnist, cifar100" in stderr
    assert len(stderr.splitlines()) == 1


def test_a_run_prints_what_the_original_does_and_leaves_tables(tmp_path):
    """From the paper's folder, as its README says."""
    words = (
        *FAST,
        "--opt",
        "tag",
        "--tag-opt",
        "rms",
        "--lr",
        ".002",
        "--b",
        "3",
        "--runs",
        "2",
        "--out",
        tmp_path,
    )
    program = (sys.executable, "-m", "main")
    stdout, stderr = call(*program, *words)
    for part in ("CUDA: False", "Experiment-1 started", "Experiment-2 started", "TASK 2 / 2  Avg Acc: "):
        assert part in stdout
    last = stdout.splitlines()[-1]
    assert last.startswith("Final Average accuracy = ")
    assert " forget = " in last
    assert " learning accuracy = " in last
    assert stderr == ""
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "args.json").read_text())["b"] == 3
    rows = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert [row["run"] for row in rows] == ["1", "2"]
    matrix = [list(map(float, row)) for row in csv.reader((folder / "matrix_1.csv").read_text().splitlines())]
    assert 100 * float(rows[0]["A"]) == pytest.approx(sum(matrix[1]) / 2)
    assert (folder / "alpha_1.csv").read_text().startswith(",\n")
    assert call(*program, *words, "--resume")[0].splitlines()[-1] == last


def test_a_grid_search_writes_its_table(main, tmp_path):
    stdout, _ = main(*FAST, "--hyp-gs", "lr", "--runs", "1", "--out", tmp_path)
    assert stdout.splitlines()[-1].startswith("best: lr ")
    (table,) = tmp_path.glob("*-grid/grid.csv")
    assert len(table.read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--opt", "maximal"], 2, "--opt 'maximal'"),
        (["--b", "big"], 2, "--b"),
        (["--dataset", "svhn"], 2, "--dataset"),
        (["--dataset", "cub", "--tasks", "20", "--data-dir", "."], 1, "CUB_200_2011.tgz"),
        (
            ["--dataset", "mini_imagenet", "--tasks", "20", "--data-dir", "."],
            1,
            "mini-imagenet-cache-train.pkl",
        ),
        (["--dataset", "5data", "--data-dir", "."], 1, "cifar-10"),
        (["--device", "abacus", "--profile", "quick"], 2, "--device abacus: not a device that torch knows"),
        ([*FAST, "--lr", "1e30", "--gamma", "1"], 1, "lower --lr"),
    ],
)
def test_mistakes_are_one_line(words, code, part, main, tmp_path):
    stderr = main(*words, "--out", tmp_path, code=code)[1]
    assert part in stderr
    assert len(stderr.strip().splitlines()) == 1


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(main, tmp_path, caplog):
    words = (*FAST, "--opt", "", "--runs", "1", "--out", tmp_path)
    last = main(*words)[0].splitlines()[-1]
    (state,) = tmp_path.glob("*/run-1/task.state")
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    stdout, _ = main(*words, "--resume")
    assert f"{state}: the checkpoint is corrupt" in caplog.text
    assert stdout.splitlines()[-1] == last


# --- scripts ---------------------------------------------------------------------------------------------

FILES = {
    name: "" if name in ("replicate_experiment_1", "replicate_experiment_2") else "scripts/"
    for name in SCRIPTS
}


def dry_run(name, *words, cwd=PAPER):
    stdout, _ = call("bash", PAPER / f"{FILES[name]}{name}.sh", *words, "--dry-run", cwd=cwd)
    return [shlex.split(line) for line in stdout.splitlines() if line.startswith("python -m ")]


def flags(words):
    """Flag to value of a dry run's line."""
    return dict(zip(words[3::2], words[4::2], strict=True))


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("replicate_experiment_naive", {"": 1, "rms": 1, "adagrad": 1, "adam": 1, "tag": 3}),
        ("replicate_experiment_baselines", {"": 3, "ewc": 1, "agem": 1, "er": 1, "rms": 1, "tag": 1}),
        ("replicate_experiment_hybrid", {
            "": 1, "ewc": 1, "rms-ewc": 1, "tag-ewc": 1, "agem": 1, "rms-agem": 1, "tag-agem": 1, "er": 1,
            "rms-er": 1, "tag-er": 1, "rms": 1, "tag": 1}),
        ("replicate_appendix_replay", {"agem": 3, "er": 3, "tag": 1}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("data", ["cifar", "5data"])
def test_dry_runs_list_every_method_and_seed(name, methods, data, tmp_path):
    found = [flags(words) for words in dry_run(name, data, "--runs", "5", cwd=tmp_path)]
    assert Counter(line.get("--opt", "") for line in found) == {key: 5 * n for key, n in methods.items()}
    assert Counter(line["--seed"] for line in found) == dict.fromkeys("12345", sum(methods.values()))
    assert {line["--epochs-per-task"] for line in found} == {"1"}


def test_the_values_of_the_authors_scripts():
    line = dict(zip(*[iter(lines.tag_line("cub", "tag-rms").argv[1:])] * 2, strict=True))
    assert (line["--lr"], line["--b"], line["--tasks"], line["--batch-size"]) == ("2.5e-05", "5", "20", "10")
    line = dict(zip(*[iter(lines.tag_line("5data", "stable").argv[1:])] * 2, strict=True))
    assert (line["--lr"], line["--gamma"], line["--dropout"], line["--batch-size"]) == (
        "0.1",
        "0.7",
        "0",
        "64",
    )
    line = dict(zip(*[iter(lines.tag_line("5data", "tag-ewc").argv[1:])] * 2, strict=True))
    assert (line["--lr"], line["--b"], line["--lambd"], line["--opt"]) == ("0.0005", "7", "100", "tag-ewc")
    line = dict(zip(*[iter(lines.tag_line("cifar", "tag-adagrad").argv[1:])] * 2, strict=True))
    assert (line["--lr"], line["--tag-opt"], line["--opt"]) == ("0.005", "adagrad", "tag")


def test_five_epochs_and_grids_are_passed_on():
    found = dry_run("replicate_experiment_baselines", "cifar", "5")
    assert {flags(words)["--epochs-per-task"] for words in found} == {"5"}
    grids = [flags(words)["--hyp-gs"] for words in dry_run("replicate_appendix_gs", "cifar")]
    assert Counter(grids) == {"lr": 6, "tag": 3, "ewc": 1, "stable": 1}


def test_stable_scripts_list_regimes_and_seeds():
    found = [flags(words) for words in dry_run("replicate_experiment_1")]
    assert Counter((line["--dataset"], line["--lr"], line["--batch-size"]) for line in found) == {
        (data, *rest): 3 for data in ("rot-mnist", "perm-mnist") for rest in (("0.01", "64"), ("0.1", "16"))
    }
    assert {line["--seed"] for line in found} == {"1234", "4567", "7891"}
    assert {line["--dropout"] for line in found} == {"0", "0.25"}


def test_a_script_runs_goes_on_and_leaves_one_table(tmp_path):
    run = PAPER / "replicate_experiment_1.sh"
    words = ("--profile", "quick", "--tasks", "2", "--epochs-per-task", "1", "--runs", "1", "--out", tmp_path)
    stdout, stderr = call("bash", run, *words, cwd=tmp_path)
    assert "4 runs, 0 of them done before" in stderr
    summary = tmp_path / "tag" / "replicate_experiment_1" / "summary.csv"
    table = list(csv.DictReader(summary.read_text().splitlines()))
    assert [(row["setting"], row["method"], row["n"]) for row in table] == [
        (f"{data}/5-tasks", method, "1")
        for data in ("rot-mnist", "perm-mnist")
        for method in ("plastic", "stable")
    ]
    assert all(float(row["lambda1_mean"]) > 0 for row in table)
    assert "| rot-mnist/5-tasks | stable | 1 |" in stdout
    again, stderr = call("bash", run, *words, cwd=tmp_path)
    assert "4 runs, 4 of them done before" in stderr
    assert again == stdout


def test_a_failing_line_makes_the_script_fail(tmp_path):
    words = ("--profile", "quick", "--tasks", "2", "--runs", "1", "--lr", "1e30", "--out", tmp_path)
    stderr = call("bash", PAPER / "replicate_experiment_1.sh", *words, code=1)[1]
    assert "failed: rot-mnist/5-tasks/plastic/seed1234: FloatingPointError" in stderr


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["replicate_experiment_naive"], "required: data"),
        (["replicate_experiment_naive", "imagenet"], "imagenet"),
        (["replicate_experiment_baselines", "cifar", "3"], "invalid choice: 3"),
        (["replicate_experiment_1", "--runs", "9"], "--runs 9"),
        (["replicate_everything"], "replicate_everything"),
    ],
)
def test_scripts_say_what_they_need(words, part, capsys):
    assert run.main(words) == 2
    stderr = capsys.readouterr().err
    assert part in stderr
    assert len(stderr.strip().splitlines()) == 1


# --- what is written down twice ---------------------------------------------------------------------------


def test_the_readmes_commands_are_understood(tmp_path):
    readme = (PAPER / "README.md").read_text(encoding="utf-8").split("## Try it")[1].split("```")[1]
    commands = [shlex.split(line, comments=True) for line in readme.splitlines()[1:] if line.strip()]
    assert len(commands) > 10
    for words in commands:
        if words[:2] == ["python", "-m"]:
            kind = {"main": tag_cli, "stable_sgd.main": stable_cli}[words[2]]
            assert kind.parser().parse_args(words[3:])
        else:
            stdout, _ = call("bash", PAPER / words[0], *words[1:], "--dry-run", cwd=tmp_path)
            assert stdout.count("python ") >= 3


def test_the_profiles_of_images_have_the_scripts_lines():
    profiles = tomllib.loads((PAPER / "profiles.toml").read_text(encoding="utf-8"))
    table = [*profiles["cifar100"]["row"], *profiles["images"]["row"]]
    listed = {shlex.join(row["command"].split()[:-4]) for row in table if row["method"] != "stable-later"}
    every = []
    for data in lines.TASKS:
        every += [*lines.naive(data), *lines.hybrid(data), *lines.baselines(data, 1), *lines.replay(data)]
        every += [line for line in lines.baselines(data, 5) if line.method != "multi-task"]
    every += [line for line in lines.experiment_2() if line.setting.startswith("cifar100")]
    assert listed == {shlex.join(line.argv) for line in every}


def test_a_rows_command_repeats_the_rows_number(tmp_path, main):
    """One meaning of --seed: the program typed by hand trains the seed that a job of a sweep trains."""
    words = [*FAST, "--dataset", "rot-mnist", "--lr", "0.1", "--seed", "4", "--out", str(tmp_path)]
    found = run_program(["main.py", *words], work_dir=tmp_path / "job")
    main(*words, "--runs", "1")
    (line,) = results(tmp_path)
    assert float(line["A"]) == found.metrics["A"]
    assert float(line["F"]) == found.metrics["F"]
    main(*words[:-4], "--seed", "3", "--runs", "2", "--fresh-tasks", "--out", str(tmp_path / "two"))
    found = results(tmp_path / "two")
    fresh = run_program(["main.py", *words, "--fresh-tasks"], work_dir=tmp_path / "fresh")
    assert float(found[1]["A"]) == fresh.metrics["A"]


def results(folder):
    """The rows of the one results.csv in a folder of runs."""
    (path,) = folder.glob("rot-mnist-*/results.csv")
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("fresh", [False, True])
def test_angles_are_those_of_the_published_program(fresh, monkeypatch, tmp_path):
    turned = []
    monkeypatch.setattr(streams, "rotated", lambda data, angles: turned.append(angles) or stop())
    words = [*FAST, "--dataset", "rot-mnist", "--tasks", "10", "--seed", "3", "--out", str(tmp_path)]
    with pytest.raises(StopIteration):
        run_program(["main.py", *words, *(["--fresh-tasks"] if fresh else [])], work_dir=tmp_path)
    drawn = np.random.RandomState(3 if fresh else 0).uniform(0, 30, 10)
    np.testing.assert_allclose(turned[0], 30 * np.arange(10) - drawn)


def stop():
    raise StopIteration


def test_every_row_of_every_profile_is_accepted():
    """Settings are checked before data is read, so a wrong row would fail only when its turn comes."""
    profiles = tomllib.loads((PAPER / "profiles.toml").read_text(encoding="utf-8"))
    programs = {program.name: program for program in PROGRAMS}
    seen = 0
    for profile in profiles.values():
        for row in profile["row"]:
            program, *words = shlex.split(row["command"].format(seed=7, artefacts="x"))
            settings = programs[program].parse(words).settings
            assert getattr(settings, "seed", getattr(settings, "random_seed", None)) == 7
            seen += 1
    assert seen > 200
