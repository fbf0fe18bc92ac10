#!/usr/bin/env bash
# Stable SGD, experiment 1: five tasks, five epochs each, plastic and stable, with eigenvalues.
#
#   ./replicate_experiment_1.sh [FLAGS]
#
# Flags are passed on to every run, e.g. --profile quick; --dry-run prints the lines; --runs N seeds; --jobs N at a time.
# The same command goes on where it was stopped; the table is outputs/tag/replicate_experiment_1/summary.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec python -m tag_repro.scripts.run replicate_experiment_1 "$@"
