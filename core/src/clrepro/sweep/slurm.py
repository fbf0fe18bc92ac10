"""A Slurm array from a sweep file: each task of the array runs its part of the jobs."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from clrepro.sweep.jobs import Job
from clrepro.sweep.spec import Spec

SCRIPT = """\
#!/bin/bash
# Made by `cl-repro sweep --slurm` from {spec}: {n_jobs} jobs in {tasks} tasks.
# Submit it from the checkout:  sbatch {script}
# What is done is skipped: submit it again after a time limit or a lost node; checkpoints are used.
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --output={logs}/%a.log
#SBATCH --open-mode=append
#SBATCH --cpus-per-task={cpus}
{lines}set -euo pipefail
cd {home}
{setup}exec cl-repro sweep {spec} --out {out} --executor processes \\
    --jobs "${{SLURM_CPUS_PER_TASK:-1}}" --shard "$SLURM_ARRAY_TASK_ID/{tasks}"
"""


def shard(jobs: Sequence[Job], number: int, of: int) -> list[Job]:
    """Part `number` (from 0) of `of`: every `of`-th job, longest first, so that parts take alike long."""
    return sorted(jobs, key=lambda job: -job.seconds)[number::of]


def array_script(spec: Spec, jobs: Sequence[Job], home: Path, out: Path, script: Path) -> str:
    """The text of an sbatch script that runs `jobs`, meant to be stored as the file `script`.

    Args: home — the checkout on the nodes; out — folder of all results, on a file system all nodes share.
    """
    tasks = min(spec.slurm.tasks, len(jobs))
    cpus = max(1, round(max(spec.share_of(job.paper).cpus for job in jobs)))
    gpus = max(spec.share_of(job.paper).gpus for job in jobs)
    lines = [*([f"--gpus-per-task={max(1, round(gpus))}"] if gpus else []), *spec.slurm.lines]
    return SCRIPT.format(
        spec=shlex.quote(str(spec.path.resolve())),
        script=shlex.quote(str(script)),
        n_jobs=len(jobs),
        tasks=tasks,
        name=shlex.quote(spec.path.stem),
        last=tasks - 1,
        logs=shlex.quote(str(script.parent)),
        cpus=cpus,
        lines="".join(f"#SBATCH {line}\n" for line in lines),
        home=shlex.quote(str(home)),
        setup="".join(f"{line}\n" for line in spec.slurm.setup),
        out=shlex.quote(str(out.resolve())),
    )
