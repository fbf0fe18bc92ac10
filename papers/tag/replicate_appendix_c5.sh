#!/usr/bin/env bash
# Stable SGD, appendix C5: EWC, A-GEM and ER with the stable regimen (TensorFlow).
#
#   ./replicate_appendix_c5.sh [FLAGS]
#
# Flags are passed on to every run, e.g. --profile quick; --dry-run prints the lines; --runs N seeds; --jobs N at a time.
# The same command goes on where it was stopped; the table is outputs/tag/replicate_appendix_c5/summary.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/external_libs/continual_learning_algorithms"
exec bash replicate_mnist_stable.sh "$@"
