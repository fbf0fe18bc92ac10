#!/usr/bin/env bash
# run_experiments.sh as a job of a Slurm queue: ./run_experiments_batch.sh DATASET NAME [FLAGS FOR main.py ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
sbatch slurm.sbatch "$@"
