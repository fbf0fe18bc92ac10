"""Actor and critics: four hidden layers with the input joined to each, of MoVE or plain layers.  Spec 4.5."""

from itertools import count
from typing import Any

import tensorflow as tf
import tf_keras

from clrepro.seeding import Seeds
from hvcl_repro.compat import undone
from hvcl_repro.layers import DenseMoVE
from hvcl_repro.rl.environments import ACT_DIM, OBS_DIM

Tensor = Any
DEPTH = 4
BONUS = 0.1
LOG_STD = (-20.0, 2.0)
# What the original divides the gate's entropies by; there they are numerically nothing.
ORIGINAL_ENTROPY_SCALE = {"actor": 12560.0, "critic": 10000.0}


class Trunk(tf_keras.Model):
    """A network from (B, inputs) to (B, outputs) with the input joined to every hidden layer.

    Args: outputs; hidden — units of each layer; vmoe — MoVE layers of `n_experts` and `k`, else plain ones;
        kind — "actor" or "critic"; seeds — streams named after `name`.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: int, *, vmoe: bool, n_experts: int, k: int, compat: str,
        kind: str, name: str, seeds: Seeds,
    ) -> None:  # fmt: skip
        super().__init__(name=name)
        numbers = (seeds.integer(f"{name}/{i}") for i in count())
        scale = ORIGINAL_ENTROPY_SCALE[kind] if "entropy" in undone(compat) else 1.0

        def layer(units: int) -> Any:
            if vmoe:
                return DenseMoVE(
                    units, n_experts, k=k, diversity_bonus=BONUS, gate_entropy_scale=scale, compat=compat,
                    seed=next(numbers),
                )  # fmt: skip
            he = tf_keras.initializers.HeUniform(seed=next(numbers))
            return tf_keras.layers.Dense(units, kernel_initializer=he)

        self.hidden = [layer(hidden) for _ in range(DEPTH)]
        self.head = layer(outputs)
        self(tf.zeros((1, inputs)))

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Returns (B, outputs)."""
        y = x
        for layer in self.hidden:
            y = tf.concat([tf.nn.leaky_relu(layer(y, training=training)), x], axis=-1)
        return self.head(y, training=training)


class ActorNetwork(tf_keras.Model):
    """A squashed Gaussian policy over the padded actions.  Args: as `Trunk`."""

    def __init__(self, hidden: int, seeds: Seeds, **options: Any) -> None:
        super().__init__(name="actor")
        self.trunk = Trunk(OBS_DIM, 2 * ACT_DIM, hidden, kind="actor", name="actor", seeds=seeds, **options)

    def call(self, states: Tensor, training: bool | None = None) -> tuple[Tensor, ...]:
        """Returns mean and log standard deviation before squashing, (B, 8) each."""
        mean, log_std = tf.split(self.trunk(states, training=training), 2, axis=-1)
        return mean, tf.clip_by_value(log_std, *LOG_STD)


class SoftQNetwork(tf_keras.Model):
    """The value of a state and a padded action.  Args: qi — number in the name; others as `Trunk`."""

    def __init__(self, hidden: int, seeds: Seeds, qi: str = "0", **options: Any) -> None:
        super().__init__(name=f"critic{qi}")
        self.trunk = Trunk(
            OBS_DIM + ACT_DIM, 1, hidden, kind="critic", name=f"critic{qi}", seeds=seeds, **options
        )

    def call(self, states: Tensor, actions: Tensor, training: bool | None = None) -> Tensor:
        """Returns (B, 1)."""
        return self.trunk(tf.concat([states, actions], axis=-1), training=training)


def matched_width(hidden: int, n_experts: int) -> int:
    """Returns the units of a plain actor with as many weights as a MoVE actor of `hidden` units has means.

    Source: spec 7, item 12: a fair dense row has the depth and the number of parameters of HVCL's.
    """

    def weights(h: int, n: int) -> int:
        widths = [OBS_DIM] + [h + OBS_DIM] * DEPTH
        return n * sum((i + 1) * o for i, o in zip(widths, [h] * DEPTH + [2 * ACT_DIM], strict=True))

    target = weights(hidden, n_experts)
    return min(range(1, hidden * n_experts + 1), key=lambda h: abs(weights(h, 1) - target))
