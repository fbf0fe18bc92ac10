"""Sparse dispatch: every expert sees only its examples, and outputs go back to the examples' rows.

The idea and the interface come from tensor2tensor's dispatcher (Shazeer et al. 2017); the code is ours.
"""

from typing import Any

import tensorflow as tf

Tensor = Any


class SparseDispatcher:
    """Sends example b to every expert e with gates[b, e] > 0.

    Args: num_experts — n, 1 or more; gates — float (B, n).
    Raises: ValueError if the gates' last axis is not n.
    """

    def __init__(self, num_experts: int, gates: Tensor) -> None:
        gates = tf.convert_to_tensor(gates)
        if gates.shape.rank != 2 or gates.shape[-1] != num_experts:
            raise ValueError(f"gates {gates.shape} for {num_experts} experts: (examples, experts)")
        self.num_experts = num_experts
        self._n_examples = tf.shape(gates)[0]
        by_expert = tf.transpose(gates)
        # Rows of (expert, example), by expert and then by example.
        pairs = tf.where(by_expert > 0)
        self._example = pairs[:, 1]
        self._gate = tf.gather_nd(by_expert, pairs)
        self.part_sizes = tf.reduce_sum(tf.cast(by_expert > 0, tf.int32), axis=1)

    def dispatch(self, x: Tensor) -> list[Tensor]:
        """Returns n tensors (B_e, ...): the rows of x (B, ...) that go to each expert, in x's order."""
        return self._split(tf.gather(x, self._example))

    def combine(self, expert_out: list[Tensor], multiply_by_gates: bool = True) -> Tensor:
        """Returns (B, ...): sum_e gates[b, e] · out_e[b], or the plain sum; rows without expert are zero.

        Args: expert_out — n tensors (B_e, ...) in the order of `dispatch`.
        """
        stacked = tf.concat(expert_out, axis=0)
        if multiply_by_gates:
            gate = tf.cast(self._gate, stacked.dtype)
            ones = [1] * (stacked.shape.rank - 1)
            stacked = stacked * tf.reshape(gate, [-1, *ones])
        return tf.math.unsorted_segment_sum(stacked, self._example, self._n_examples)

    def expert_to_gates(self) -> list[Tensor]:
        """Returns n tensors (B_e,): the gate of every dispatched row."""
        return self._split(self._gate)

    def expert_to_batch_indices(self) -> list[Tensor]:
        """Returns n tensors int64 (B_e,): the example of every dispatched row."""
        return self._split(self._example)

    def _split(self, rows: Tensor) -> list[Tensor]:
        parts: list[Tensor] = tf.split(rows, self.part_sizes, num=self.num_experts)
        return parts
