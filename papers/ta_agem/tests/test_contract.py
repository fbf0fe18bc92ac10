"""The command lines of the README, from the paper's folder; mistakes end in one line and a code."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

pytest.importorskip("sklearn")
PAPER = Path(__file__).resolve().parents[1]
FAST = ["--dataset", "digits", "--set", "num_epochs=1", "--no_mlflow", "--no_verbose"]


def run(program, *words, cwd=PAPER, code=0, **variables):
    """Run a program of the paper's folder; returns (stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, str(PAPER / program), *map(str, words)], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CL_REPRO_PROGRESS_S": "inf", **variables},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def test_a_run_says_what_it_does_and_leaves_its_files(tmp_path):
    stdout, stderr = run("main.py", *FAST, "--seed", 1, "--output_dir", tmp_path)
    for part in ("Device: cpu", "Removal function: remove_oldest", "Task 9 done", "get from memory"):
        assert part in stdout
    record = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert f"Final Average Accuracy (all epochs, all tasks): {record['extra']['metrics']['A']:.4f}" in stdout
    assert record["params"]["seed"] == 1
    stem = next(tmp_path.glob("*.pkl")).stem
    assert stem.startswith("results-seq-rem-1-perm-digits-")
    assert (tmp_path / "plotly.min.js").is_file()  # one copy for all pages of the folder
    assert sorted(path.name[len(stem) :] for path in tmp_path.glob(f"{stem}*")) == [
        ".json", ".npz", ".pkl", "_clusters.html", "_overall_accuracy.html", "_per_task_accuracy.html",
    ]  # fmt: skip
    assert stderr == ""


@pytest.mark.parametrize("task_type", ["permutation", "rotation", "class_split"])
def test_lite_runs_to_its_end_on_the_digits_that_come_along(task_type, tmp_path):
    words = [
        "--lite",
        "--dataset",
        "mnist_quick",
        "--no_mlflow",
        "--task_type",
        task_type,
        "--set",
        "num_epochs=2",
    ]
    stdout, _ = run("main.py", *words, "--output_dir", tmp_path)
    assert "Quick run" in stdout
    n_tasks = 5 if task_type == "class_split" else 2
    assert f"Task {n_tasks - 1} done" in stdout
    assert f"Task {n_tasks} done" not in stdout
    assert next(tmp_path.glob("*.pkl")).name.startswith(f"results-q-seq-rem-1-{task_type[:3]}")


def test_two_seeds_in_one_call_and_the_same_seed_again(tmp_path):
    run("main.py", *FAST, "--seed", 5, "--runs", 2, "--output_dir", tmp_path)
    run("main.py", *FAST, "--seed", 6, "--output_dir", tmp_path)
    records = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
    assert [record["params"]["seed"] for record in records] == [5, 6, 6]
    finals = [record["extra"]["metrics"] for record in records]
    assert finals[1] == finals[2] != finals[0]


def test_runs_side_by_side_are_the_runs_one_by_one(tmp_path):
    for folder, jobs in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        run("main.py", *FAST, "--seed", 5, "--runs", 2, "--jobs", jobs, "--output_dir", tmp_path / folder)
    found = [
        {
            record["params"]["seed"]: record["extra"]["metrics"]
            for record in (json.loads(path.read_text()) for path in (tmp_path / folder).glob("*.json"))
        }
        for folder in ("one", "two")
    ]
    assert found[0] == found[1]
    assert sorted(found[0]) == [5, 6]


def test_a_device_that_is_not_there_is_said_once(tmp_path):
    stdout, _ = run(
        "main.py", *FAST, "--set", "device=cuda", "--output_dir", tmp_path, CUDA_VISIBLE_DEVICES=""
    )
    assert stdout.count("device cuda is not there: using the processor") == 1


def test_a_run_that_asks_for_no_device_says_nothing_of_one(tmp_path):
    stdout, _ = run("main.py", *FAST, "--output_dir", tmp_path, CUDA_VISIBLE_DEVICES="")
    assert "not there" not in stdout


@pytest.mark.parametrize(("file", "name"), [("linux_env.yml", "ta-env"), ("mac_env.yml", "ta-a-gem")])
def test_a_conda_file_makes_the_environment_of_the_readme(file, name):
    """The original's names, and a pip section that installs this checkout with the paper's extra."""
    made = yaml.safe_load((PAPER / file).read_text())
    assert made["name"] == name
    (pip,) = [entry["pip"] for entry in made["dependencies"] if isinstance(entry, dict)]
    flag, _, target = pip[0].partition(" ")
    folder, _, extra = target.partition("[")
    root = (PAPER / folder).resolve()
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (flag, project["name"]) == ("-e", "cl-repro")
    assert extra.rstrip("]").replace("-", "_") in project["optional-dependencies"]
    wanted = {"numba", "torch", "mlflow", "plotly"}
    extras = " ".join(project["optional-dependencies"]["ta_agem"])
    assert all(package in extras for package in wanted)
    assert f"conda env create -f {file} && conda activate {name}" in (PAPER / file).read_text()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--task_type", "other"], 2, "task_type 'other': one of permutation, rotation, class_split"),
        (["--dataset", "svhn"], 2, "dataset_name svhn: one of mnist, fashion_mnist, cifar10"),
        (["--jobs", "0"], 2, "--jobs 0: must be 1 or more"),
        (["--no_such_flag"], 2, "unrecognized arguments"),
        (["--set", "sampling_rate=11"], 2, "at most the batch size"),
        (["--set", "task_introduction=later"], 2, "one of sequential"),
        (["--task_type", "class_split", "--set", "task_specific.class_split.num_tasks=4"], 2, "5 tasks"),
        (["--config", "none.yaml"], 2, "no configuration file none.yaml"),
        (["--output_dir", "/no/such/folder"], 2, "an absolute one must exist"),
        (["--output_dir", "/proc/1/x"], 2, "an absolute one must exist"),
        (["--runs", "0"], 2, "--runs 0"),
        (["--dataset", "mnist", "--data_dir", "/proc"], 1, "neither /proc/MNIST nor /proc/mnist"),
    ],
)
def test_mistakes_are_one_line_and_a_code_before_any_work(words, code, part, tmp_path):
    stdout, stderr = run("main.py", "--no_mlflow", *words, cwd=tmp_path, code=code)
    assert stderr.startswith("error: ")
    assert part in stderr
    assert stderr.count("\n") == 1
    assert "Task" not in stdout


def test_help_lists_every_flag_without_loading_a_framework():
    listed, _ = run("main.py", "-h")
    for flag in ("--config", "--task_type", "--experiment_name", "--dataset", "--lite", "--no_verbose",
                 "--output_dir", "--data_dir", "--seed", "--method", "--profile", "--set", "--no_lite",
                 "--verbose", "--no_mlflow", "--runs"):  # fmt: skip
        assert flag in listed
    code = (
        "import runpy, sys; sys.argv = ['main.py', '-h']\n"
        "try:\n    runpy.run_path('main.py', run_name='__main__')\n"
        "except SystemExit:\n    print({'torch', 'numba', 'mlflow', 'plotly'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PAPER, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("set()")


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("agem", ["AGEMHandler", "TALearningRateScheduler"]),
        ("clustering", ["ClusteringMemory", "Cluster", "ClusterPool", "ClusteringMechanism"]),
        ("clustering_gemini", ["ClusteringMemory", "Cluster", "ClusterPool", "ClusteringMechanism"]),
        ("load_dataset", ["load_dataset", "DatasetLoader"]),
        ("init", ["load_dataset"]),
        ("visualization_analysis", ["TAGemVisualizer", "Timer"]),
        ("visualization_analysis.visualization_analysis", ["TAGemVisualizer", "Timer"]),
    ],
)
def test_names_of_the_original_can_be_imported_from_the_folder(module, names):
    code = f"from {module} import {', '.join(names)}"
    subprocess.run([sys.executable, "-c", code], cwd=PAPER, check=True)


def test_download_without_kagglehub_names_the_cures(tmp_path):
    _, stderr = run("load_dataset.py", "--dataset", "mnist", cwd=tmp_path, code=1)
    assert "pip install kagglehub" in stderr
    assert stderr.count("\n") == 1
    _, stderr = run("load_dataset.py", cwd=tmp_path, code=2)
    assert "--dataset" in stderr


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("words", [[], ["mnist"], ["svhn", "name"], ["mnist", "--lite"]])
def test_the_script_wants_a_data_set_and_a_name(words):
    done = subprocess.run(["bash", "run_experiments.sh", *words], cwd=PAPER, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("usage: ")


@pytest.mark.slow
def test_the_script_runs_fifteen_experiments_and_their_statistics(tmp_path):
    """A copy of the folder, as the results go beside the script; digits in place of MNIST, one epoch."""
    copy = tmp_path / "ta_agem"
    shutil.copytree(
        PAPER, copy, ignore=shutil.ignore_patterns("results", "test_results", "tests", "__pycache__")
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", copy / "run_experiments.sh", "mnist", "demo", *FAST], capture_output=True, text=True,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((copy / "test_results" / "demo").glob("*.pkl"))) == 15
    assert "class_split" in done.stdout
