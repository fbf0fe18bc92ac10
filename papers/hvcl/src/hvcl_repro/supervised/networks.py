"""Classifiers of MoVE or plain layers, of equal depth and width, and the auto-encoder for replay."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import tensorflow as tf
import tf_keras

from clrepro.seeding import Seeds
from hvcl_repro.layers import Conv2DMoVE, DenseMoVE
from hvcl_repro.layers.noise import Noise
from hvcl_repro.supervised.settings import SupervisedSettings

FILTERS = (32, 32, 64, 64)
SMALL_FILTERS = (8, 16)  # for images of 16 pixels or fewer
Tensor = Any


def classifier(settings: SupervisedSettings, shape: tuple[int, ...], n_classes: int, seeds: Seeds) -> Any:
    """Returns a built tf_keras model from flat images in [0, 1] (B, inputs) to logits (B, n_classes)."""
    pixels = tf.TensorShape(shape).num_elements()
    numbers = (seeds.integer(f"init/{i}") for i in count())
    layers = [tf_keras.Input((pixels,))]
    if settings.convolutional:
        layers += [tf_keras.layers.Reshape(shape), *_convolutions(settings, shape, numbers)]
        layers += [tf_keras.layers.Flatten(), _dense(settings, settings.hidden, "relu", numbers)]
    else:
        layers += [_dense(settings, settings.hidden, "relu", numbers) for _ in range(2)]
    return tf_keras.Sequential([*layers, _dense(settings, n_classes, None, numbers)])


def _convolutions(
    settings: SupervisedSettings, shape: tuple[int, ...], numbers: Iterator[int]
) -> Iterator[Any]:
    small = shape[0] <= 16
    for number, filters in enumerate(SMALL_FILTERS if small else FILTERS):
        wide = max(1, round(filters * settings.width))
        if settings.bayesian:
            yield Conv2DMoVE(
                wide, settings.experts, 3, padding="same", expert_activation="relu", **move_options(settings),
                seed=next(numbers),
            )  # fmt: skip
        else:
            he = tf_keras.initializers.HeUniform(seed=next(numbers))
            yield tf_keras.layers.Conv2D(wide, 3, padding="same", activation="relu", kernel_initializer=he)
        if small or number % 2:
            yield tf_keras.layers.MaxPool2D()


def _dense(settings: SupervisedSettings, units: int, activation: str | None, numbers: Iterator[int]) -> Any:
    if settings.bayesian:
        return DenseMoVE(
            units,
            settings.experts,
            expert_activation=activation,
            **move_options(settings),
            seed=next(numbers),
        )
    he = tf_keras.initializers.HeUniform(seed=next(numbers))
    return tf_keras.layers.Dense(units, activation, kernel_initializer=he)


def move_options(settings: SupervisedSettings) -> dict[str, Any]:
    """Returns the options that all MoVE layers of a run share.

    The KL terms are sums over all weights; their weights are set per task, divided by its number of images.
    """
    sharing = "node" if settings.method == "ucl" else settings.rho_sharing
    return {
        "k": settings.k, "diversity_bonus": settings.bonus, "rho_init": settings.rho_init,
        "rho_sharing": sharing, "noise": settings.noise, "kl_reduction": "sum_over_n",
        "compat": settings.compat,
    }  # fmt: skip


class AutoEncoder:
    """A variational auto-encoder of MoVE layers over flat images in [0, 1].

    Source: Kingma and Welling 2014; the sizes are those of spec 4.6.
    """

    def __init__(self, settings: SupervisedSettings, pixels: int, seeds: Seeds) -> None:
        self.latent = settings.latent
        numbers = (seeds.integer(f"generator/{i}") for i in count())
        self.noise = Noise(seeds.integer("generator/noise"))

        def stack(inputs: int, outputs: int) -> Any:
            layers: list[Any] = [tf_keras.Input((inputs,))]
            for units, activation in ((settings.generator_hidden, "relu"),) * 2 + ((outputs, None),):
                layers.append(
                    DenseMoVE(
                        units,
                        settings.generator_exp,
                        expert_activation=activation,
                        **move_options(settings),
                        seed=next(numbers),
                    )
                )
            return tf_keras.Sequential(layers)

        self.encoder, self.decoder = stack(pixels, 2 * self.latent), stack(self.latent, pixels)

    @property
    def models(self) -> tuple[Any, Any]:
        """Encoder and decoder."""
        return self.encoder, self.decoder

    def elbo(self, x: Tensor, *, training: bool) -> Tensor:
        """Returns (B,): the evidence bound of each image in nats, pixels as Bernoulli means."""
        mean, log_std = tf.split(self.encoder(x, training=training), 2, axis=-1)
        log_std = tf.clip_by_value(log_std, -8.0, 4.0)
        z = mean + tf.exp(log_std) * self.noise.normal(tf.shape(mean), tf.float32)
        logits = self.decoder(z, training=training)
        likelihood = -tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
        kl = 0.5 * tf.square(mean) + 0.5 * tf.exp(2.0 * log_std) - log_std - 0.5
        return tf.reduce_sum(likelihood, axis=-1) - tf.reduce_sum(kl, axis=-1)

    def sample(self, n: Tensor) -> Tensor:
        """Returns n images (n, inputs) in [0, 1]."""
        return self.decode(self.noise.normal((n, self.latent), tf.float32))

    def decode(self, z: Tensor) -> Tensor:
        """Returns the images (n, inputs) in [0, 1] of latent variables (n, latent)."""
        return tf.nn.sigmoid(self.decoder(z, training=False))
