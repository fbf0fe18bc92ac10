#!/usr/bin/env bash
# All 57 lines behind the paper's tables, one after the other, for one seed.
#
#   ./mer_examples.sh SEED [--dry-run] [FLAGS FOR main.py ...]
#
# The task files come from: python get_data.py all
# Flags given here are passed on to every run, e.g. --eval_policy metrics (same numbers, far fewer evaluations).
# For many seeds, parallel runs, continuing after an interruption and a table at the end: cl-repro reproduce mer --profile full
set -euo pipefail

if [[ $# -lt 1 || ! $1 =~ ^[0-9]+$ ]]; then
  echo "usage: $0 SEED [--dry-run] [FLAGS FOR main.py ...]" >&2
  exit 2
fi
seed=$1
shift
dry_run=no
if [[ ${1:-} == --dry-run ]]; then
  dry_run=yes
  shift
fi
extra=("$@")
cd "$(dirname "${BASH_SOURCE[0]}")"

run() { # label, data file, samples per task, then the flags of this line
  local label=$1 file=$2 samples=$3
  shift 3
  echo "$label:"
  local command=(python main.py --model "$model" --n_layers 2 --n_hiddens 100 --data_path data/ --save_path results/
    --batch_size 1 --log_every 100 "$@" --data_file "$file" --samples_per_task "$samples" --cuda no --seed "$seed"
    ${extra[@]+"${extra[@]}"})
  if [[ $dry_run == yes ]]; then
    echo "${command[*]}"
  else
    "${command[@]}"
  fi
}
rotations() { run "MNIST Rotations" mnist_rotations.pt 1000 "$@"; }
permutations() { run "MNIST Permutations" mnist_permutations.pt 1000 "$@"; }
many_permutations() { run "MNIST Many Permutations" mnist_manypermutations.pt 200 "$@"; }
begin() { # model, title
  model=$1
  echo "Beginning $2 ( seed = $seed )"
}

begin online "Online Learning"
rotations --lr 0.0003
permutations --lr 0.003
many_permutations --lr 0.003

begin independent "Independent Model Per Task"
rotations --lr 0.01
permutations --lr 0.01
many_permutations --lr 0.01

begin ewc "EWC"
rotations --lr 0.001 --n_memories 10 --memory_strength 100.0
permutations --lr 0.01 --n_memories 10 --memory_strength 10.0
many_permutations --lr 0.003 --n_memories 10 --memory_strength 1.0

begin gem "GEM With 5120 Memories"
rotations --lr 0.01 --n_memories 256 --memory_strength 1.0
permutations --lr 0.01 --n_memories 256 --memory_strength 1.0
many_permutations --lr 0.01 --n_memories 51 --memory_strength 0.0

begin gem "GEM With 500 Memories"
rotations --lr 0.01 --n_memories 25 --memory_strength 0.0
permutations --lr 0.01 --n_memories 25 --memory_strength 1.0
many_permutations --lr 0.003 --n_memories 5 --memory_strength 0.1

begin gem "GEM With 200 Memories"
rotations --lr 0.01 --n_memories 10 --memory_strength 0.0
permutations --lr 0.01 --n_memories 10 --memory_strength 0.0

begin eralg4 "ER (Algorithm 4) With 5120 Memories"
rotations --lr 0.1 --memories 5120 --replay_batch_size 25
permutations --lr 0.1 --memories 5120 --replay_batch_size 25
many_permutations --lr 0.1 --memories 5120 --replay_batch_size 25

begin eralg4 "ER (Algorithm 4) With 500 Memories"
rotations --lr 0.1 --memories 500 --replay_batch_size 5
permutations --lr 0.1 --memories 500 --replay_batch_size 10
many_permutations --lr 0.1 --memories 500 --replay_batch_size 25

begin eralg4 "ER (Algorithm 4) With 200 Memories"
rotations --lr 0.1 --memories 200 --replay_batch_size 10
permutations --lr 0.1 --memories 200 --replay_batch_size 10

begin eralg5 "ER (Algorithm 5) With 5120 Memories"
rotations --lr 0.03 --memories 5120 --replay_batch_size 100
permutations --lr 0.01 --memories 5120 --replay_batch_size 25
many_permutations --lr 0.003 --memories 5120 --replay_batch_size 10

begin eralg5 "ER (Algorithm 5) With 500 Memories"
rotations --lr 0.01 --memories 500 --replay_batch_size 100
permutations --lr 0.01 --memories 500 --replay_batch_size 25
many_permutations --lr 0.01 --memories 500 --replay_batch_size 5

begin eralg5 "ER (Algorithm 5) With 200 Memories"
rotations --lr 0.01 --memories 200 --replay_batch_size 50
permutations --lr 0.01 --memories 200 --replay_batch_size 10

begin meralg1 "MER (Algorithm 1) With 5120 Memories"
rotations --lr 0.03 --beta 0.03 --gamma 1.0 --memories 5120 --replay_batch_size 100 --batches_per_example 10
permutations --lr 0.03 --beta 0.03 --gamma 1.0 --memories 5120 --replay_batch_size 100 --batches_per_example 10
many_permutations --lr 0.1 --beta 0.01 --gamma 1.0 --memories 5120 --replay_batch_size 5 --batches_per_example 10

begin meralg1 "MER (Algorithm 1) With 500 Memories"
rotations --lr 0.1 --beta 0.01 --gamma 1.0 --memories 500 --replay_batch_size 10 --batches_per_example 10
permutations --lr 0.03 --beta 0.03 --gamma 1.0 --memories 500 --replay_batch_size 25 --batches_per_example 10
many_permutations --lr 0.03 --beta 0.03 --gamma 1.0 --memories 500 --replay_batch_size 5 --batches_per_example 10

begin meralg1 "MER (Algorithm 1) With 200 Memories"
rotations --lr 0.1 --beta 0.01 --gamma 1.0 --memories 200 --replay_batch_size 10 --batches_per_example 5
permutations --lr 0.03 --beta 0.03 --gamma 1.0 --memories 200 --replay_batch_size 10 --batches_per_example 10

begin meralg6 "MER (Algorithm 6) With 5120 Memories"
rotations --lr 0.03 --gamma 0.1 --memories 5120 --replay_batch_size 100 --batches_per_example 1
permutations --lr 0.03 --gamma 0.1 --memories 5120 --replay_batch_size 50 --batches_per_example 1
many_permutations --lr 0.03 --gamma 0.1 --memories 5120 --replay_batch_size 25 --batches_per_example 1

begin meralg6 "MER (Algorithm 6) With 500 Memories"
rotations --lr 0.1 --gamma 0.03 --memories 500 --replay_batch_size 10 --batches_per_example 1
permutations --lr 0.03 --gamma 0.3 --memories 500 --replay_batch_size 10 --batches_per_example 1
many_permutations --lr 0.1 --gamma 0.03 --memories 500 --replay_batch_size 5 --batches_per_example 1

begin meralg6 "MER (Algorithm 6) With 200 Memories"
rotations --lr 0.1 --gamma 0.03 --memories 200 --replay_batch_size 25 --batches_per_example 1
permutations --lr 0.1 --gamma 0.03 --memories 200 --replay_batch_size 5 --batches_per_example 1

begin meralg7 "MER (Algorithm 7) With 5120 Memories"
rotations --lr 0.03 --gamma 0.03 --memories 5120 --replay_batch_size 100 --s 5
permutations --lr 0.01 --gamma 0.1 --memories 5120 --replay_batch_size 100 --s 10
many_permutations --lr 0.03 --gamma 0.03 --memories 5120 --replay_batch_size 100 --s 10

begin meralg7 "MER (Algorithm 7) With 500 Memories"
rotations --lr 0.03 --gamma 0.03 --memories 500 --replay_batch_size 50 --s 5
permutations --lr 0.01 --gamma 0.1 --memories 500 --replay_batch_size 25 --s 10
many_permutations --lr 0.03 --gamma 0.03 --memories 500 --replay_batch_size 5 --s 10

begin meralg7 "MER (Algorithm 7) With 200 Memories"
rotations --lr 0.03 --gamma 0.03 --memories 200 --replay_batch_size 50 --s 5
permutations --lr 0.03 --gamma 0.1 --memories 200 --replay_batch_size 5 --s 2
