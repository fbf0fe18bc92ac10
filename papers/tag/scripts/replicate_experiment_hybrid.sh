#!/usr/bin/env bash
# TAG's steps with the gradients of EWC, A-GEM and ER.
#
#   scripts/replicate_experiment_hybrid.sh {cifar|mini_imagenet|cub|5data} [FLAGS]
#
# Flags are passed on to every run, e.g. --profile quick; --dry-run prints the lines; --runs N seeds; --jobs N at a time.
# The same command goes on where it was stopped; the table is outputs/tag/replicate_experiment_hybrid/summary.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python -m tag_repro.scripts.run replicate_experiment_hybrid "$@"
