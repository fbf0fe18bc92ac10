#!/usr/bin/env bash
# A-GEM, EWC and ER on CIFAR-100 in 20 tasks of 5 classes, three seeds each.
#
#   ./replicate_cifar.sh [--dry-run] [FLAGS FOR conv_split_cifar.py ...]
#
# Runs that are done are not repeated.  Results and summary.md: results/cifar100, or $LOG_DIR.  Without data: --profile quick.
set -euo pipefail

log_dir=$(realpath -m -- "${LOG_DIR:-$(dirname -- "${BASH_SOURCE[0]}")/results/cifar100}")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
source ./each_run.bash "$@"

for method in A-GEM EWC ER; do
  strength=0.0
  if [[ $method == EWC ]]; then strength=10.0; fi
  for seed in 1234 7295 5234; do
    each_run conv_split_cifar.py --train-single-epoch --mem-size 1 --arch RESNET-S --random-seed "$seed" --num-runs 1 \
      --batch-size 10 --optim SGD --learning-rate 0.03 --imp-method "$method" --synap-stgth "$strength" \
      --eps-mem-batch 10 --log-dir "$log_dir"
  done
done
summary "$log_dir"
