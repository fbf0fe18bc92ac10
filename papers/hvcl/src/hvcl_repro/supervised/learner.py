"""One learner for all methods: a whole epoch is one compiled call, so Python costs nothing per step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from clrepro.metrics.divergence import DIVERGED, check_size
from clrepro.seeding import Seeds
from hvcl_repro.layers import move_layers
from hvcl_repro.supervised import mixture, penalties
from hvcl_repro.supervised.networks import AutoEncoder, classifier
from hvcl_repro.supervised.settings import SupervisedSettings

Tensor = Any
EVAL_BATCH = 1000
MC_SAMPLES = 10
FLAT = tf.TensorSpec([None, None], tf.uint8)
LABELS = tf.TensorSpec([None], tf.int64)
ORDER = tf.TensorSpec([None], tf.int32)


class Learner:
    """A classifier, its optimiser, and what its method remembers of earlier tasks.

    Args: shape — of one image; n_classes — outputs; seeds — streams "init/*", "generator/*", "fisher".
    """

    def __init__(
        self, settings: SupervisedSettings, shape: tuple[int, ...], n_classes: int, seeds: Seeds
    ) -> None:
        self.settings, self.seeds, self.tasks_seen = settings, seeds, 0
        self.model = classifier(settings, shape, n_classes, seeds)
        self.fresh = [w.numpy() for w in self.model.weights]
        self.weights = self.model.trainable_variables
        self.optimizer = self._adam(self.weights)
        self.hold = penalties.Quadratic(self.weights) if settings.method in ("ewc", "si") else None
        self.path = penalties.PathIntegral(self.weights) if settings.method == "si" else None
        nodes = (list(move_layers(self.model)), settings.rho_init, settings.ucl_beta, settings.batch)
        self.nodes = penalties.CertainNodes(*nodes) if settings.method == "ucl" else None
        replays = settings.method == "hvcl-gr"
        pixels = int(np.prod(shape))
        self.old: Any = (
            classifier(settings, shape, n_classes, seeds) if replays or settings.method == "lwf" else None
        )
        self.generator: Any = AutoEncoder(settings, pixels, seeds) if settings.generative else None
        self.old_generator: Any = AutoEncoder(settings, pixels, seeds) if replays else None
        if self.generator is not None:
            self.generator_weights = [w for m in self.generator.models for w in m.trainable_variables]
            self.generator_optimizer = self._adam(self.generator_weights)
        self._epoch = tf.function(self._one_epoch, input_signature=[FLAT, LABELS, ORDER, tf.TensorSpec([])])
        self._right = tf.function(
            self._count_right, input_signature=[FLAT, LABELS, tf.TensorSpec([], tf.int32)]
        )
        self._bound = tf.function(self._sum_elbo, input_signature=[FLAT])

    def _adam(self, weights: list[Any]) -> Any:
        # The one-kernel-per-weight Adam; the newer class does the same sums in a dozen passes over memory.
        optimizer = tf_keras.optimizers.legacy.Adam(self.settings.lr)
        optimizer._create_all_weights(weights)
        return optimizer

    # --- training --------------------------------------------------------------------------------------

    def begin(self, n_train: int) -> None:
        """Before a task: fresh optimisers, and the weights of the KL terms for this many images."""
        s = self.settings
        if s.method == "re-init":
            self.model.set_weights(self.fresh)
        optimizers = [self.optimizer] + ([self.generator_optimizer] if self.generator is not None else [])
        for optimizer in optimizers:
            for v in optimizer.variables():
                v.assign(tf.zeros_like(v))
        first, plain = self.tasks_seen == 0, s.method == "ucl"  # whose penalty stands in for the KL terms
        for layer in self._move_layers():
            layer.kl_weights.assign(0.0 if plain else (s.first_beta if first else s.e_beta) / n_train)
            layer.gating_kl_weight.assign(s.first_beta if first else s.g_beta)

    def epoch(self, x: Tensor, y: Tensor, order: NDArray[np.int64]) -> float:
        """Train once on all images.  Args: x — uint8 (n, inputs) tensor; order — a permutation.

        Returns: the mean cross-entropy of its batches.
        """
        return float(self._epoch(x, y, order.astype(np.int32), float(self.tasks_seen)))

    def _one_epoch(self, x: Tensor, y: Tensor, order: Tensor, seen: Tensor) -> Tensor:
        batch, total = self.settings.batch, 0.0
        n_batches = (tf.shape(order)[0] + batch - 1) // batch
        for i in tf.range(n_batches):
            rows = order[i * batch : (i + 1) * batch]
            images = tf.cast(tf.gather(x, rows), tf.float32) / 255.0
            total += self._step(images, tf.gather(y, rows), seen)
            if self.generator is not None:
                self._generator_step(images, seen)
        return total / tf.cast(n_batches, tf.float32)

    def _step(self, x: Tensor, y: Tensor, seen: Tensor) -> Tensor:
        """One step of Adam; returns the cross-entropy on the current images."""
        with tf.GradientTape() as tape:
            logits = self.model(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
            entropy = loss
            if self.model.losses:
                loss += tf.add_n(self.model.losses)
            if self.nodes is not None:
                loss += self.nodes.loss(seen)
            loss = self._with_old(loss, x, logits, seen)
        gradients = tape.gradient(loss, self.weights)
        applied = gradients
        if self.hold is not None:
            held = self.hold.gradients(self.weights)
            applied = [g + h for g, h in zip(gradients, held, strict=True)]
        before = [tf.identity(w) for w in self.weights] if self.path is not None else []
        self.optimizer.apply_gradients(zip(applied, self.weights, strict=True))
        if self.path is not None:
            self.path.add(gradients, before, self.weights)
        # ReLU turns nan into 0, so weights that are lost show in the terms of the loss alone.
        return tf.where(tf.math.is_finite(loss), entropy, loss - loss)  # nan for infinite too

    def _with_old(self, loss: Tensor, x: Tensor, logits: Tensor, seen: Tensor) -> Tensor:
        """Returns the loss with what the old network says: 1/t for the new task, the rest for old ones."""
        if self.old is None:
            return loss
        new = 1.0 / (seen + 1.0)
        if self.settings.method == "lwf":
            return new * loss + (1.0 - new) * penalties.distillation(logits, self.old(x, training=False))

        def replayed() -> Tensor:
            images = tf.stop_gradient(self.old_generator.sample(tf.shape(x)[0]))
            answers = self.old(images, training=False)
            return penalties.distillation(self.model(images, training=True), answers)

        # Half of what is seen is replayed, as many images as new ones.
        return tf.cond(seen > 0, lambda: new * loss + (1.0 - new) * replayed(), lambda: loss)

    def _generator_step(self, x: Tensor, seen: Tensor) -> None:
        """One step on new and, with replay, as many replayed images."""
        old = self.old_generator
        if old is not None:
            n = tf.shape(x)[0]
            x = tf.cond(seen > 0, lambda: tf.concat([x, old.sample(n)], axis=0), lambda: x)
            # New images weigh 1/t, so that all tasks count the same.
            share = tf.cond(
                seen > 0,
                lambda: tf.repeat(
                    tf.stack([2.0 / (seen + 1.0), 2.0 * seen / (seen + 1.0)]), tf.stack([n, n])
                ),
                lambda: tf.ones((n,)),
            )
        else:
            share = tf.ones((tf.shape(x)[0],))
        with tf.GradientTape() as tape:
            bound = -tf.reduce_mean(share * self.generator.elbo(x, training=True))
            loss = bound + tf.add_n([term for m in self.generator.models for term in m.losses])
        gradients = tape.gradient(loss, self.generator_weights)
        self.generator_optimizer.apply_gradients(zip(gradients, self.generator_weights, strict=True))

    def end(self, x: NDArray[np.uint8]) -> None:
        """After a task: consolidate, and remember what the method remembers.  Args: x — its images."""
        s = self.settings
        for layer in self._move_layers():
            layer.consolidate()
        if s.method == "ewc" and self.hold is not None:
            rng = self.seeds.generator("fisher")
            chosen = rng.choice(len(x), min(s.fisher_samples, len(x)), replace=False)
            more = penalties.fisher(self.model, x[chosen].astype(np.float32) / 255.0, rng)
            self.hold.close(self.weights, [s.ewc_lambda * f for f in more])
        if self.path is not None and self.hold is not None:
            self.hold.close(self.weights, self.path.importance(self.hold.anchor, self.weights, s.si_c))
        if self.old is not None:
            self.old.set_weights(self.model.get_weights())
        if self.old_generator is not None and self.generator is not None:
            for mine, its in zip(self.old_generator.models, self.generator.models, strict=True):
                mine.set_weights(its.get_weights())
        self.tasks_seen += 1

    def _move_layers(self) -> list[Any]:
        models = [self.model, *(self.generator.models if self.generator is not None else ())]
        return [layer for model in models for layer in move_layers(model)]

    # --- evaluation ------------------------------------------------------------------------------------

    def accuracy(self, x: Any, y: Any, *, samples: int = 0) -> float:
        """Returns the share of right answers: mean weights and most probable experts, or, with `samples`,
        that many drawn networks averaged in probability.

        Raises: FloatingPointError if the network has diverged.
        """
        right, largest = self._right(x, y, samples)
        check_size(float(largest), "its outputs", "lower --lr")
        return float(right) / len(y)

    def _count_right(self, x: Tensor, y: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        right, largest = tf.constant(0, tf.int64), tf.constant(0.0)
        for start in tf.range(0, tf.shape(x)[0], EVAL_BATCH):
            images = tf.cast(x[start : start + EVAL_BATCH], tf.float32) / 255.0
            logits = self.model(images, training=False)
            size = tf.abs(logits)  # a maximum does not see what is no number
            largest = tf.maximum(largest, tf.reduce_max(tf.where(size < DIVERGED, size, np.inf)))
            answer = tf.nn.softmax(logits)
            if samples > 0:
                answer = tf.zeros_like(answer)
                for _ in tf.range(samples):
                    answer += tf.nn.softmax(self.model(images, training=True))
            good = tf.argmax(answer, axis=-1) == y[start : start + EVAL_BATCH]
            right += tf.reduce_sum(tf.cast(good, tf.int64))
        return right, largest

    def answer(self, x: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns (n, classes): the probabilities that `accuracy` takes its answers from."""
        with self._undisturbed():
            starts = range(0, len(x), EVAL_BATCH)
            batches = (tf.cast(x[i : i + EVAL_BATCH], tf.float32) / 255.0 for i in starts)
            return np.concatenate([tf.nn.softmax(self.model(b, training=False)).numpy() for b in batches])

    def samples(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Returns the generator's images (n, inputs) of latent variables (n, latent)."""
        with self._undisturbed():
            pixels: NDArray[np.float32] = self.generator.decode(tf.constant(z)).numpy()
        return np.round(255 * pixels).astype(np.uint8)

    def gate_weights(self, x: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Returns `mixture.gate_weights`: who answers for these images; moves no random generator."""
        with self._undisturbed():
            return mixture.gate_weights(self.model, x)

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        # Layers in the original's way draw at evaluation too; what is only looked at must not show later.
        before = [tf.identity(v) for v in self._noise()]
        yield
        for variable, state in zip(self._noise(), before, strict=True):
            variable.assign(state)

    def elbo(self, x: Any) -> float:
        """Returns the generator's mean evidence bound in nats per image; nan without a generator."""
        return float(self._bound(x)) / len(x) if self.generator is not None else float("nan")

    def _sum_elbo(self, x: Tensor) -> Tensor:
        total = tf.constant(0.0)
        for start in tf.range(0, tf.shape(x)[0], EVAL_BATCH):
            images = tf.cast(x[start : start + EVAL_BATCH], tf.float32) / 255.0
            total += tf.reduce_sum(self.generator.elbo(images, training=False))
        return total

    # --- checkpoints -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Returns everything that the next task needs; optimisers start anew with every task."""
        return {
            "models": [w for m in self._models() for w in m.get_weights()],
            "noise": [np.asarray(v).view(np.uint64) for v in self._noise()],
            "hold": self.hold.state() if self.hold is not None else [],
            "tasks_seen": self.tasks_seen,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        arrays = iter(state["models"])
        for model in self._models():
            model.set_weights([next(arrays) for _ in model.weights])
        for variable, saved in zip(self._noise(), state["noise"], strict=True):
            variable.assign(saved.view(np.int64))
        if self.hold is not None:
            self.hold.load(state["hold"])
        self.tasks_seen = int(state["tasks_seen"])

    def _models(self) -> list[Any]:
        generators = [g for g in (self.generator, self.old_generator) if g is not None]
        return [
            m for m in (self.model, self.old, *(m for g in generators for m in g.models)) if m is not None
        ]

    def _noise(self) -> list[Any]:
        layers = [layer.random.generator.state for model in self._models() for layer in move_layers(model)]
        generators = [g.noise.generator.state for g in (self.generator, self.old_generator) if g is not None]
        return layers + generators
