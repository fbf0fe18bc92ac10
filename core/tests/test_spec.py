"""Sweep files: what they expand to, and that every mistake in one is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clrepro.errors import DataError, UsageError
from clrepro.sweep import expand, load_spec
from clrepro.sweep.slurm import array_script, shard

ROW = """
name = "rates"
seeds = [0, 7]
[[row]]
paper = "fake"
setting = "walk/{steps}"
method = "m-{model}"
command = "main.py --model {model} --steps {steps} --data_path {data}/ --save_path {artefacts}/ --seed {seed}"
grid = { steps = [2, 4], model = ["a"] }
[prepare]
fake = [["get_data.py", "numbers", "--out_dir", "{data}"]]
"""
BORROWED = '[[profile]]\npaper = "fake"\nprofile = "quick"\nonly = "walk/6/short"\nseeds = 3\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


def test_rows_profiles_and_grids_become_jobs(fake_paper: Any, tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, ROW + BORROWED), fake_paper.home)
    borrowed, own = spec.parts
    assert (borrowed.profile.name, borrowed.only, borrowed.n_seeds) == ("quick", "walk/6/short", 3)
    jobs = expand(own.profile, own.n_seeds)
    assert [job.name for job in jobs] == [
        "fake/rates/walk/2/m-a/seed0",
        "fake/rates/walk/2/m-a/seed7",
        "fake/rates/walk/4/m-a/seed0",
        "fake/rates/walk/4/m-a/seed7",
    ]
    assert jobs[3].command[1:5] == ["--model", "a", "--steps", "4"]
    assert jobs[3].command[-1] == "7"
    assert own.profile.folder == fake_paper.folder
    assert own.profile.prepare == [["get_data.py", "numbers", "--out_dir", "{data}"]]


def test_a_paper_s_share_begins_from_the_general_one(fake_paper: Any, tmp_path: Path) -> None:
    text = BORROWED + "[share]\ncpus = 2\nretries = 5\n[share.fake]\ngpus = 0.5\npython = '/venv/python'\n"
    share = load_spec(write(tmp_path, text), fake_paper.home).share_of("fake")
    assert (share.cpus, share.gpus, share.retries, share.python) == (2, 0.5, 5, "/venv/python")
    assert load_spec(write(tmp_path, BORROWED), fake_paper.home).share_of("fake").cpus == 1


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[[row]]", "[row]", "row must be given as"),
        ("[[row]]", "colour = 1\n[[row]]", "unknown key 'colour'"),
        ('paper = "fake"', 'paper = "other"', "no paper 'other'"),
        ('paper = "fake"', 'paper = "../fake"', "../fake"),
        ('paper = "fake"', "paper = 3", "number 1"),
        ('name = "rates"', "", "name is None"),
        ('name = "rates"', 'name = "a/../b"', "a/../b"),
        ("steps = [2, 4]", "steps = 2", "grid"),
        ("steps = [2, 4]", "steps = []", "grid"),
        ("steps = [2, 4]", "seed = [2, 4]", "'seed'"),
        ("[2, 4]", "[2, 2]", "occurs twice"),
        ("[2, 4]", "['../x', 4]", "setting"),
        ("--model {model}", "--model {modle}", "placeholder {modle}"),
        ("seeds = [0, 7]", "seeds = [0, 0]", "seeds"),
        ("[prepare]\nfake", "[prepare]\nother", "unknown key 'other'"),
        ("[prepare]", "[share]\ncpus = -1\n[prepare]", "cpus"),
        ("[prepare]", "[share]\nretries = 1.5\n[prepare]", "retries"),
        ("[prepare]", "[share.other]\ncpus = 1\n[prepare]", "unknown key 'other'"),
        ("[prepare]", "[share.fake]\nimage = 'a'\npython = 'b'\n[prepare]", "both"),
        ("[prepare]", "[share]\nenv = {A = 1}\n[prepare]", "env"),
        ("[prepare]", "[slurm]\nlines = ['rm -rf /']\n[prepare]", "flags of sbatch"),
        ("[prepare]", '[slurm]\nlines = ["--a\\nrm"]\n[prepare]', "list of lines"),
        ("[prepare]", "[slurm]\ntasks = 0\n[prepare]", "tasks"),
        ("[prepare]", "[slurm]\ntime_factor = 0.5\n[prepare]", "time_factor"),
        ("[prepare]", "[share]\nmemory_gb = -1\n[prepare]", "memory_gb"),
        ("[prepare]", "[prepare", "not a readable TOML"),
    ],
)
def test_a_wrong_sweep_file_names_file_and_key(
    old: str, new: str, named: str, fake_paper: Any, tmp_path: Path
) -> None:
    path = write(tmp_path, ROW)
    assert load_spec(path, fake_paper.home).parts
    path = write(tmp_path, ROW.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        load_spec(path, fake_paper.home)
    assert named in str(caught.value)
    assert "sweep.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_mistakes(fake_paper: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to run"):
        load_spec(write(tmp_path, "seeds = [1]"), fake_paper.home)
    with pytest.raises(DataError, match="'quick' occurs twice"):
        load_spec(write(tmp_path, BORROWED * 2), fake_paper.home)
    with pytest.raises(UsageError, match="no profile 'full'"):
        load_spec(write(tmp_path, BORROWED.replace("quick", "full")), fake_paper.home)
    with pytest.raises(DataError, match="cannot be read"):
        load_spec(tmp_path / "missing.toml", fake_paper.home)


def test_parts_of_an_array_are_all_jobs_once(fake_paper: Any, tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, ROW + BORROWED), fake_paper.home)
    jobs = [job for part in spec.parts for job in expand(part.profile, part.n_seeds)]
    parts = [shard(jobs, number, 3) for number in range(3)]
    assert sorted(job.name for part in parts for job in part) == sorted(job.name for job in jobs)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    # Longest first, dealt out in turn, so that no part gets all the long ones.
    timed = [replace(jobs[0], seconds=float(seconds)) for seconds in (1, 5, 3, 4, 2)]
    assert [[job.seconds for job in shard(timed, number, 2)] for number in (0, 1)] == [[5, 3, 1], [4, 2]]


def test_the_array_script_quotes_what_it_is_given(fake_paper: Any, tmp_path: Path) -> None:
    odd = tmp_path / "a folder; rm -rf x"
    odd.mkdir()
    slurm = (
        '[slurm]\nlines = ["--partition=short"]\nsetup = ["module load x"]\ntasks = 3\n[share]\ngpus = 0.5\n'
    )
    spec = load_spec(write(odd, ROW + slurm), fake_paper.home)
    jobs = [job for part in spec.parts for job in expand(part.profile, part.n_seeds)]
    text = array_script(spec, jobs, fake_paper.home, tmp_path / "out", odd / "array.sh")
    assert f"cl-repro sweep '{odd}/sweep.toml' --out {tmp_path}/out" in text
    assert "#SBATCH --array=0-2\n" in text
    assert "#SBATCH --gpus-per-task=1\n#SBATCH --partition=short\n" in text
    assert '--shard "$((SLURM_ARRAY_TASK_ID + ${1:-0}))/3"' in text
    assert "\nmodule load x\n" in text
