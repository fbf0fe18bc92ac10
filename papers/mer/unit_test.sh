#!/usr/bin/env bash
# Nine short runs, 10 examples per task: does every learner start and finish?
#
#   ./unit_test.sh [FLAGS FOR main.py ...]
#
# Makes data/mnist_rotations.pt from the embedded digits if there is none yet.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
extra=("$@")
[[ -e data/mnist_rotations.pt ]] || python get_data.py rotations --source quick || exit 1
failed=0

check() { # name, then model and its flags
  local name=$1 model=$2
  shift 2
  if python main.py --model "$model" --n_layers 2 --n_hiddens 100 --data_path data/ --save_path results/ --batch_size 1 \
    --log_every 100 --samples_per_task 10 --data_file mnist_rotations.pt --cuda no --seed 0 "$@" ${extra[@]+"${extra[@]}"}; then
    echo "$name finished successfully"
  else
    echo "Exited with error." >&2
    failed=1
  fi
}

check "Online" online --lr 0.0003
check "Independent" independent --lr 0.01
check "EWC" ewc --lr 0.001 --n_memories 10 --memory_strength 100.0
check "GEM" gem --lr 0.01 --n_memories 256 --memory_strength 1.0
check "ER Algorithm 4" eralg4 --lr 0.1 --memories 500 --replay_batch_size 50
check "ER Algorithm 5" eralg5 --lr 0.01 --memories 500 --replay_batch_size 50
check "MER Algorithm 1" meralg1 --lr 0.03 --beta 0.03 --gamma 1.0 --memories 500 --replay_batch_size 50 --batches_per_example 5
check "MER Algorithm 6" meralg6 --lr 0.03 --gamma 0.03 --memories 500 --replay_batch_size 50 --batches_per_example 1
check "MER Algorithm 7" meralg7 --lr 0.03 --gamma 0.03 --memories 500 --replay_batch_size 50 --s 5
exit $failed
