#!/usr/bin/env bash
# Stable SGD, experiment 2: twenty tasks, one epoch each; then EWC, A-GEM and ER (TensorFlow).
#
#   ./replicate_experiment_2.sh [FLAGS]
#
# Flags are passed on to every run, e.g. --profile quick; --dry-run prints the lines; --runs N seeds; --jobs N at a time.
# The same command goes on where it was stopped; the table is outputs/tag/replicate_experiment_2/summary.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python -m tag_repro.scripts.run replicate_experiment_2 "$@"

shared=() # --runs, --jobs and --out concern the part above alone
while (($#)); do
  case $1 in --runs | --jobs | --out) shift ;; *) shared+=("$1") ;; esac
  (($#)) && shift
done
cd external_libs/continual_learning_algorithms
bash replicate_mnist.sh rot-mnist ${shared[@]+"${shared[@]}"}
bash replicate_mnist.sh perm-mnist ${shared[@]+"${shared[@]}"}
bash replicate_cifar.sh ${shared[@]+"${shared[@]}"}
