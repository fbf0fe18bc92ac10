"""Classifiers of MoVE or plain layers, of equal depth and width, and the auto-encoder for replay."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from clrepro.seeding import Seeds
from hvcl_repro.layers import Conv2DMoVE, DenseMoVE, MoVE
from hvcl_repro.layers.noise import Noise

FILTERS = (32, 32, 64, 64)
SMALL_FILTERS = (8, 16)  # for images of 16 pixels or fewer
Tensor = Any


class Stack:
    """Layers one after another, built; no Keras model, which would keep the losses of its building.

    Args: layers; inputs — features of a row that comes in.
    """

    def __init__(self, layers: Sequence[Any], inputs: int) -> None:
        self.layers = list(layers)
        shape: Any = (None, inputs)
        for layer in self.layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.outputs = int(shape[-1])

    def __call__(self, x: Tensor, *, training: bool) -> Tensor:
        """Returns (B, outputs) for x (B, inputs); in training with weights and experts drawn."""
        for layer in self.layers:
            x = run_layer(layer, x, training=training)
        return x

    @property
    def moves(self) -> list[MoVE]:
        """The MoVE layers, in order."""
        return [layer for layer in self.layers if isinstance(layer, MoVE)]

    @property
    def weights(self) -> list[Any]:
        """All variables that are trained, layer by layer."""
        return [v for layer in self.layers for v in layer.trainable_variables]

    def losses(self) -> list[Tensor]:
        """Returns the terms that the last call has added."""
        return [term for layer in self.layers for term in layer.losses]

    def get_weights(self) -> list[NDArray[Any]]:
        """Returns all arrays, those that are not trained too."""
        return [v.numpy() for layer in self.layers for v in layer.weights]

    def set_weights(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Take the arrays of `get_weights`."""
        for v, array in zip((v for layer in self.layers for v in layer.weights), arrays, strict=True):
            v.assign(array)

    def rngs(self) -> list[Any]:
        """Returns the variables of the random generators."""
        return [layer.random.generator.state for layer in self.moves]


def run_layer(layer: Any, x: Tensor, *, training: bool) -> Tensor:
    """Returns the layer's output; only a MoVE layer does another thing in training."""
    return layer(x, training=training) if isinstance(layer, MoVE) else layer(x)


class Classifier:
    """A body and one head, or a head per task.

    Args: body; heads — one layer, or one for each task, all of the same size.
    """

    def __init__(self, body: Stack, heads: Sequence[Any]) -> None:
        self.body = body
        self.heads = [Stack([head], body.outputs) for head in heads]
        self.parts = [body, *self.heads]
        self.weights = [v for part in self.parts for v in part.weights]
        self.moves = [layer for part in self.parts for layer in part.moves]

    def head(self, task: int) -> int:
        """Returns the number of the head that answers for a task."""
        return task if len(self.heads) > 1 else 0

    def answer(self, h: Tensor, task: int, *, training: bool) -> Tensor:
        """Returns logits (B, classes) of the task's head for features (B, hidden) of the body."""
        return self.heads[self.head(task)](h, training=training)

    def __call__(self, x: Tensor, task: int, *, training: bool) -> Tensor:
        """Returns logits (B, classes) for flat images (B, inputs) in [0, 1]."""
        return self.answer(self.body(x, training=training), task, training=training)

    def path(self, task: int) -> list[Any]:
        """Returns the layers from image to logits that a task uses."""
        return [*self.body.layers, *self.heads[self.head(task)].layers]

    def moves_of(self, task: int) -> list[MoVE]:
        """Returns those of them that are MoVE layers."""
        return [layer for layer in self.path(task) if isinstance(layer, MoVE)]

    def losses(self, task: int, *, every: bool) -> list[Tensor]:
        """Returns the terms of the last call.  Args: every — of all heads up to the task's, or of its own."""
        last = self.head(task)
        heads = self.heads[0 if every else last : last + 1]
        return [term for part in (self.body, *heads) for term in part.losses()]

    def get_weights(self) -> list[NDArray[Any]]:
        """Returns all arrays, those that are not trained too."""
        return [array for part in self.parts for array in part.get_weights()]

    def set_weights(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Take the arrays of `get_weights`."""
        left = iter(arrays)
        for part in self.parts:
            part.set_weights([next(left) for _ in part.get_weights()])

    def rngs(self) -> list[Any]:
        """Returns the variables of the random generators."""
        return [v for part in self.parts for v in part.rngs()]


@dataclass(frozen=True)
class Networks:
    """Makes a run's networks: each call the same one anew, weights and random generators included.

    shape — of one image; n_classes — outputs of a head; n_heads; seeds — streams "init/*", "generator/*";
    hidden — units of a dense hidden layer; experts — per MoVE layer, 0: plain layers; moves — what all MoVE
    layers share; width — factor of the convolutions' filters, None: no convolutions; generator — keyword
    arguments of `AutoEncoder`.
    """

    shape: tuple[int, ...]
    n_classes: int
    n_heads: int
    seeds: Seeds
    hidden: int
    experts: int
    moves: Mapping[str, Any]
    width: float | None
    generator: Mapping[str, Any]

    @property
    def pixels(self) -> int:
        """Numbers per image."""
        return int(tf.TensorShape(self.shape).num_elements())

    def classifier(self) -> Classifier:
        """Returns a network from flat images in [0, 1] (B, inputs) to logits (B, n_classes)."""
        numbers = (self.seeds.integer(f"init/{i}") for i in count())
        layers: list[Any] = []
        if self.width is not None:
            layers += [tf_keras.layers.Reshape(self.shape), *self._convolutions(self.width, numbers)]
            layers += [tf_keras.layers.Flatten(), self._dense(self.hidden, "relu", numbers)]
        else:
            layers += [self._dense(self.hidden, "relu", numbers) for _ in range(2)]
        heads = [self._dense(self.n_classes, None, numbers) for _ in range(self.n_heads)]
        return Classifier(Stack(layers, self.pixels), heads)

    def auto_encoder(self) -> "AutoEncoder":
        """Returns the auto-encoder."""
        return AutoEncoder(self.pixels, self.seeds, **self.generator)

    def _convolutions(self, width: float, numbers: Iterator[int]) -> Iterator[Any]:
        small = self.shape[0] <= 16
        for number, filters in enumerate(SMALL_FILTERS if small else FILTERS):
            wide = max(1, round(filters * width))
            if self.experts:
                yield Conv2DMoVE(
                    wide, self.experts, 3, padding="same", expert_activation="relu", **self.moves,
                    seed=next(numbers),
                )  # fmt: skip
            else:
                he = tf_keras.initializers.HeUniform(seed=next(numbers))
                yield tf_keras.layers.Conv2D(
                    wide, 3, padding="same", activation="relu", kernel_initializer=he
                )
            if small or number % 2:
                yield tf_keras.layers.MaxPool2D()

    def _dense(self, units: int, activation: str | None, numbers: Iterator[int]) -> Any:
        if self.experts:
            return DenseMoVE(
                units, self.experts, expert_activation=activation, **self.moves, seed=next(numbers)
            )
        he = tf_keras.initializers.HeUniform(seed=next(numbers))
        return tf_keras.layers.Dense(units, activation, kernel_initializer=he)


class AutoEncoder:
    """A variational auto-encoder of MoVE layers over flat images in [0, 1].

    Args: pixels — numbers per image; seeds — streams "generator/*"; hidden — units of both hidden layers;
    experts — per layer; latent — latent variables; moves — what all its layers share.
    Source: Kingma and Welling 2014.
    """

    def __init__(
        self, pixels: int, seeds: Seeds, *, hidden: int, experts: int, latent: int, moves: Mapping[str, Any]
    ) -> None:
        self.latent = latent
        numbers = (seeds.integer(f"generator/{i}") for i in count())
        self.noise = Noise(seeds.integer("generator/noise"))

        def stack(inputs: int, outputs: int) -> Stack:
            sizes = ((hidden, "relu"),) * 2 + ((outputs, None),)
            layers = [
                DenseMoVE(units, experts, expert_activation=activation, **moves, seed=next(numbers))
                for units, activation in sizes
            ]
            return Stack(layers, inputs)

        self.encoder, self.decoder = stack(pixels, 2 * self.latent), stack(self.latent, pixels)
        self.parts = (self.encoder, self.decoder)
        self.weights = [v for part in self.parts for v in part.weights]
        self.moves = [layer for part in self.parts for layer in part.moves]

    def elbo(self, x: Tensor, *, training: bool) -> Tensor:
        """Returns (B,): the evidence bound of each image in nats, pixels as Bernoulli means."""
        mean, log_std = tf.split(self.encoder(x, training=training), 2, axis=-1)
        log_std = tf.clip_by_value(log_std, -8.0, 4.0)
        z = mean + tf.exp(log_std) * self.noise.normal(tf.shape(mean), tf.float32)
        logits = self.decoder(z, training=training)
        likelihood = -tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
        kl = 0.5 * tf.square(mean) + 0.5 * tf.exp(2.0 * log_std) - log_std - 0.5
        return tf.reduce_sum(likelihood, axis=-1) - tf.reduce_sum(kl, axis=-1)

    def losses(self) -> list[Tensor]:
        """Returns the terms that the last calls have added."""
        return [term for part in self.parts for term in part.losses()]

    def sample(self, n: Tensor) -> Tensor:
        """Returns n images (n, inputs) in [0, 1]."""
        return self.decode(self.noise.normal((n, self.latent), tf.float32))

    def decode(self, z: Tensor) -> Tensor:
        """Returns the images (n, inputs) in [0, 1] of latent variables (n, latent)."""
        return tf.nn.sigmoid(self.decoder(z, training=False))

    def get_weights(self) -> list[NDArray[Any]]:
        """Returns all arrays, those that are not trained too."""
        return [array for part in self.parts for array in part.get_weights()]

    def set_weights(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Take the arrays of `get_weights`."""
        split = len(self.encoder.get_weights())
        self.encoder.set_weights(arrays[:split])
        self.decoder.set_weights(arrays[split:])

    def rngs(self) -> list[Any]:
        """Returns the variables of the random generators."""
        return [*self.encoder.rngs(), *self.decoder.rngs(), self.noise.generator.state]


def adam(lr: float, weights: list[Any]) -> Any:
    """Returns Adam for these weights, its moments made."""
    # The one-kernel-per-weight Adam; the newer class does the same sums in a dozen passes over memory.
    optimizer = tf_keras.optimizers.legacy.Adam(lr)
    optimizer._create_all_weights(weights)
    return optimizer
