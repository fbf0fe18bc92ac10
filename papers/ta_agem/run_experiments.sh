#!/usr/bin/env bash
# Five runs of each of the three task types, then their statistics.
#
#   ./run_experiments.sh DATASET NAME [FLAGS FOR main.py ...]
#
# DATASET is mnist, fashion_mnist or cifar10; results go to test_results/NAME, MLflow experiment NAME.  Stops at the first failure.
set -euo pipefail

usage() {
  echo "usage: $0 {mnist|fashion_mnist|cifar10} NAME [FLAGS FOR main.py ...]" >&2
  exit 1
}

[[ $# -ge 2 ]] || usage
dataset=$1 name=$2
shift 2
case $dataset in mnist | fashion_mnist | cifar10) ;; *) usage ;; esac
[[ -n $name && $name != -* ]] || usage
cd "$(dirname "${BASH_SOURCE[0]}")"

for seed in 0 1 2 3 4; do
  for task_type in permutation rotation class_split; do
    python main.py --dataset "$dataset" --task_type "$task_type" --seed "$seed" --experiment_name "$name" \
      --output_dir "test_results/$name" --no_verbose "$@"
  done
done
python visualization_analysis/retro_stats.py --input_dir "test_results/$name" --num_runs 15
