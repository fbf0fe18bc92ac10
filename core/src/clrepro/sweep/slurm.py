"""A Slurm array from a sweep file: each task of the array runs its part of the jobs."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from clrepro.sweep.jobs import TASK_LOG, Job
from clrepro.sweep.spec import Spec

STOP_SECONDS = 60  # before its time limit a task is told to write its checkpoints
LEAST_MINUTES = 10  # a task imports and compiles before it runs anything
SCRIPT = """\
#!/bin/bash
# Made by cl-repro from {spec}: {n_jobs} jobs in {tasks} tasks.
# Submit it from the checkout:  sbatch {script}
# What is done is skipped: submit it again after a time limit or a lost node; checkpoints are used.
# Where that is more than the site's MaxArraySize, in parts:  sbatch --array=0-999 {script} FIRST_TASK
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --output={logs}/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --cpus-per-task={cpus}
#SBATCH --requeue
#SBATCH --signal=B:TERM@{stop}
{lines}set -euo pipefail
export {log_variable}={logs}/"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}.log"
cd {home}
{setup}exec cl-repro sweep {spec} --out {out} --executor processes \\
    --jobs "${{SLURM_CPUS_PER_TASK:-1}}" --shard "$((SLURM_ARRAY_TASK_ID + ${{1:-0}}))/{tasks}"
"""


def shard(jobs: Sequence[Job], number: int, of: int) -> list[Job]:
    """Part `number` (from 0) of `of`: every `of`-th job, longest first, so that parts take alike long."""
    return sorted(jobs, key=lambda job: -job.seconds)[number::of]


def n_tasks(spec: Spec, jobs: Sequence[Job]) -> int:
    """How many tasks the array of `jobs` has."""
    return min(spec.slurm.tasks, len(jobs))


def array_script(spec: Spec, jobs: Sequence[Job], home: Path, out: Path, script: Path) -> str:
    """The text of an sbatch script that runs `jobs`, meant to be stored as the file `script`.

    Args: home — the checkout on the nodes; out — folder of all results, on a file system all nodes share.
    """
    tasks = n_tasks(spec, jobs)
    shares = [spec.share_of(paper) for paper in sorted({job.paper for job in jobs})]
    cpus = max(1, round(max(share.cpus for share in shares)))
    lines = []
    if minutes := time_limit(spec, jobs, cpus):
        lines.append(f"--time={minutes}")
    if memory_gb := max(share.memory_gb for share in shares):
        lines.append(f"--mem-per-cpu={math.ceil(memory_gb * 1e9 / 2**20)}M")  # a run per processor
    if gpus := max(share.gpus for share in shares):
        lines.append(f"--gpus-per-task={max(1, round(gpus))}")
    return SCRIPT.format(
        spec=shlex.quote(str(spec.path.resolve())),
        script=shlex.quote(str(script)),
        n_jobs=len(jobs),
        tasks=tasks,
        name=shlex.quote(spec.path.stem),
        last=tasks - 1,
        logs=shlex.quote(str(script.parent)),
        cpus=cpus,
        stop=STOP_SECONDS,
        log_variable=TASK_LOG,
        lines="".join(f"#SBATCH {line}\n" for line in [*lines, *spec.slurm.lines]),  # of two the later counts
        home=shlex.quote(str(home)),
        setup="".join(f"{line}\n" for line in spec.slurm.setup),
        out=shlex.quote(str(out.resolve())),
    )


def time_limit(spec: Spec, jobs: Sequence[Job], at_a_time: int) -> int:
    """Minutes for the longest task of `jobs`, `at_a_time` runs side by side; 0 if a row states no seconds.

    `time_factor` times what the rows say they take, and what a task needs to start and to stop.
    """
    if not all(job.seconds > 0 for job in jobs):
        return 0
    tasks = n_tasks(spec, jobs)
    parts = [[job.seconds for job in shard(jobs, number, tasks)] for number in range(tasks)]
    longest = max(max(max(part), sum(part) / at_a_time) for part in parts)
    return LEAST_MINUTES + math.ceil((spec.slurm.time_factor * longest + STOP_SECONDS) / 60)
