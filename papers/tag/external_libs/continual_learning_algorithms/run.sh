#!/usr/bin/env bash
# Everything in this folder: the baselines on both MNIST streams, stabilised on the rotated one, and on CIFAR-100.
#
#   ./run.sh [--dry-run] [FLAGS FOR BOTH PROGRAMS ...]        e.g. ./run.sh --profile quick
#
# The original's run.sh installed system packages for OpenCV; nothing here needs them.
set -euo pipefail
if [[ -n ${LOG_DIR:-} ]]; then
  LOG_DIR=$(realpath -m -- "$LOG_DIR")
  export LOG_DIR
fi
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

./replicate_mnist.sh rot-mnist "$@"
./replicate_mnist.sh perm-mnist "$@"
./replicate_mnist_stable.sh "$@"
./replicate_cifar.sh "$@"
