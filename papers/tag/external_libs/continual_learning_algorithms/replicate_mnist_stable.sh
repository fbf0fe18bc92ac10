#!/usr/bin/env bash
# ER, A-GEM and EWC stabilised (appendix C5): the learning rate falls by .65 per task, units are dropped; three seeds each.
#
#   ./replicate_mnist_stable.sh [--dry-run] [FLAGS FOR fc_mnist.py ...]
#
# Runs that are done are not repeated.  Results and summary.md: results/mnist, or $LOG_DIR.  Without data: --profile quick.
set -euo pipefail

log_dir=$(realpath -m -- "${LOG_DIR:-$(dirname -- "${BASH_SOURCE[0]}")/results/mnist}")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
source ./each_run.bash "$@"

for method in ER A-GEM EWC; do
  echo "Replicating results for stable $method" >&2
  for seed in 1345 1455 1668; do
    each_run fc_mnist.py --dataset rot-mnist --random-seed "$seed" --decay 0.65 --examples-per-task 50000 --arch FC-S \
      --num-runs 1 --batch-size 32 --optim SGD --learning-rate 0.1 --imp-method "$method" --mem-size 1 \
      --eps-mem-batch 10 --synap-stgth 10 --dropout 0.25 --log-dir "$log_dir"
  done
done
summary "$log_dir"
