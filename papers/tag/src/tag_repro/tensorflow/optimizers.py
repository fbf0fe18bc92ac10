"""SGD, momentum and Adam by TensorFlow's own kernels, with a learning rate that changes without retracing."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

MOMENTUM = 0.9
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Optimizer:
    """One optimizer for the whole stream; its slots start at 0 again with every task, as in the original.

    Args: name — SGD, MOMENTUM or ADAM.
    Differs from the original: there the name was read and plain SGD was run.
    """

    def __init__(self, name: str, weights: Sequence[Any]) -> None:
        self.name, self.weights = name, list(weights)
        self.rate, self._rate = tf.Variable(0.0), 0.0
        self.powers = [tf.Variable(BETA1), tf.Variable(BETA2)]  # β^(steps + 1)
        per_weight = {"SGD": 0, "MOMENTUM": 1, "ADAM": 2}[name]
        self.slots = [[tf.Variable(tf.zeros_like(w)) for _ in range(per_weight)] for w in self.weights]

    def set_rate(self, rate: float) -> None:
        """Step with this learning rate from now on."""
        if rate != self._rate:
            self.rate.assign(rate)
            self._rate = rate

    def apply(self, gradients: Sequence[Any]) -> None:
        """Move every weight by its gradient; called inside a compiled step."""
        for weight, slots, g in zip(self.weights, self.slots, gradients, strict=True):
            target = {"var": weight.handle}
            if self.name == "SGD":
                tf.raw_ops.ResourceApplyGradientDescent(**target, alpha=self.rate, delta=g)
            elif self.name == "MOMENTUM":
                tf.raw_ops.ResourceApplyMomentum(
                    **target, accum=slots[0].handle, lr=self.rate, grad=g, momentum=MOMENTUM
                )
            else:
                tf.raw_ops.ResourceApplyAdam(
                    **target, m=slots[0].handle, v=slots[1].handle, beta1_power=self.powers[0],
                    beta2_power=self.powers[1], lr=self.rate,
                    beta1=BETA1, beta2=BETA2, epsilon=EPSILON, grad=g,
                )  # fmt: skip
        if self.name == "ADAM":
            for power, beta in zip(self.powers, (BETA1, BETA2), strict=True):
                power.assign(power * beta)

    def restart(self) -> None:
        """Forget momentum: a new task begins."""
        for slot in (slot for slots in self.slots for slot in slots):
            slot.assign(tf.zeros_like(slot))
        for power, beta in zip(self.powers, (BETA1, BETA2), strict=True):
            power.assign(beta)
