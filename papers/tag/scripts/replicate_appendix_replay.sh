#!/usr/bin/env bash
# Replay memories of 1, 5 and 10 per class against TAG.
#
#   scripts/replicate_appendix_replay.sh {cifar|mini_imagenet|cub|5data} [FLAGS]
#
# Flags are passed on to every run, e.g. --profile quick; --dry-run prints the lines; --runs N seeds; --jobs N at a time.
# The same command goes on where it was stopped; the table is outputs/tag/replicate_appendix_replay/summary.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python -m tag_repro.scripts.run replicate_appendix_replay "$@"
