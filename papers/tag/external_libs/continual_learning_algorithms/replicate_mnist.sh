#!/usr/bin/env bash
# ER, A-GEM and EWC without decay of the learning rate, three seeds each, on 20 rotated or permuted MNIST tasks.
#
#   ./replicate_mnist.sh {rot-mnist|perm-mnist} [--dry-run] [FLAGS FOR fc_mnist.py ...]
#
# Runs that are done are not repeated.  Results and summary.md: results/mnist, or $LOG_DIR.  Without data: --profile quick.
set -euo pipefail

case ${1:-} in rot-mnist | perm-mnist) dataset=$1 ;; *)
  echo "usage: $0 {rot-mnist|perm-mnist} [--dry-run] [FLAGS FOR fc_mnist.py ...]" >&2
  exit 2
  ;;
esac
shift
log_dir=$(realpath -m -- "${LOG_DIR:-$(dirname -- "${BASH_SOURCE[0]}")/results/mnist}")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
source ./each_run.bash "$@"

for method in ER A-GEM EWC; do
  echo "Replicating results for $method" >&2
  for seed in 1345 1455 1668; do
    each_run fc_mnist.py --dataset "$dataset" --random-seed "$seed" --decay 1.0 --examples-per-task 50000 --arch FC-S \
      --num-runs 1 --batch-size 32 --optim SGD --learning-rate 0.1 --imp-method "$method" --mem-size 1 \
      --eps-mem-batch 10 --synap-stgth 10 --log-dir "$log_dir"
  done
done
summary "$log_dir"
