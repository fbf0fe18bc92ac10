"""Generative replay: an auto-encoder that learns every task's images, and old networks that are asked.

Source: Shin et al. 2017 (the scholar of generator and solver); soft answers as in van de Ven et al. 2022.
"""

from typing import Any

import tensorflow as tf

from hvcl_repro.supervised import penalties
from hvcl_repro.supervised.networks import Classifier, Networks, adam

Tensor = Any


class GenerativeReplay:
    """An auto-encoder beside a classifier, and both as they were after the last task.

    The t-th task's loss is that of its images / t + (1 - 1/t) · that of as many replayed ones, for the
    auto-encoder as for the classifier, so all tasks count the same.  This is a mean over the images of t
    tasks, and the experts' KL is therefore divided by t·n.
    Args: networks — makes both; replays — False: trained alongside, and nothing is replayed; generator_lr —
    of its Adam, whose moments are kept from task to task; generator_steps — its steps on each batch;
    generator_e_beta, generator_g_beta — weights of its KL terms, in the first task no more than first_beta.
    """

    def __init__(
        self,
        networks: Networks,
        *,
        replays: bool,
        generator_lr: float,
        generator_steps: int,
        generator_e_beta: float,
        generator_g_beta: float,
        first_beta: float,
    ) -> None:
        self.replays, self.steps, self.first_beta = replays, generator_steps, first_beta
        self.betas = (generator_e_beta, generator_g_beta)
        self.generator = networks.auto_encoder()
        self.old_generator = networks.auto_encoder() if replays else None
        self.old = networks.classifier() if replays else None
        for part in (self.old_generator, self.old):
            for layer in part.moves if part is not None else ():
                layer.omitted = frozenset(layer.loss_names)  # asked, not trained
        self.weights = self.generator.weights
        self.adam = adam(generator_lr, self.weights)
        self.share = tf.Variable(1.0, trainable=False)  # of the new task: 1/t

    def begin_task(self, task: int, n_train: int) -> None:
        """Before task number `task` (from 0) of n_train images."""
        t = task + 1 if self.replays else 1
        self.share.assign(1.0 / t)
        first = tuple(min(self.first_beta, beta) for beta in self.betas)
        expert, gate = first if task == 0 else self.betas
        for layer in self.generator.moves:
            layer.weigh(expert / (t * n_train), gate)

    def draw(self, n: Tensor) -> Tensor:
        """Returns n images (n, inputs) in [0, 1] as the tasks before this one taught them."""
        assert self.old_generator is not None
        return tf.stop_gradient(self.old_generator.sample(n))

    def answers(self, net: Classifier, x: Tensor, n: Tensor, task: int) -> tuple[Tensor, Tensor]:
        """Returns (logits of the n new images (n, classes), how far the answers to the others have moved).

        Args: x — n new images, then replayed ones.
        """
        assert self.old is not None
        if len(net.heads) == 1:
            logits = net(x, task, training=True)
            old = self.old(x[n:], task, training=False)
            return logits[:n], penalties.distillation(logits[n:], old)
        h = net.body(x, training=True)
        kept = penalties.kept_answers(net, h[n:], self.old, x[n:], task)
        return net.answer(h[:n], task, training=True), kept

    def learn(self, x: Tensor, replayed: Tensor | None) -> None:
        """Steps of the auto-encoder on new images (B, inputs) and as many replayed ones, or None."""
        if self.steps == 1:
            self._descend(x, replayed)
        else:
            for _ in tf.range(self.steps):  # unrolled, a dozen of them would take long to compile
                self._descend(x, replayed)

    def _descend(self, x: Tensor, replayed: Tensor | None) -> None:
        with tf.GradientTape() as tape:
            loss = self.loss(x, replayed)
        gradients = tape.gradient(loss, self.weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        self.adam.apply_gradients(zip(gradients, self.weights, strict=True))

    def loss(self, x: Tensor, replayed: Tensor | None) -> Tensor:
        """Returns minus the bound, weighted, with the layers' terms, a scalar."""
        if replayed is None:
            loss = -tf.reduce_mean(self.generator.elbo(x, training=True))
        else:
            n = tf.shape(x)[0]
            bound = self.generator.elbo(tf.concat([x, replayed], axis=0), training=True)
            new, old = tf.reduce_mean(bound[:n]), tf.reduce_mean(bound[n:])
            loss = -(self.share * new + (1.0 - self.share) * old)
        terms = self.generator.losses()
        return loss + tf.add_n(terms) if terms else loss

    def end_task(self, net: Classifier) -> None:
        """After a task: what both networks know now is what they are asked for from here on."""
        for layer in self.generator.moves:
            layer.consolidate()
        if self.old is not None and self.old_generator is not None:
            self.old.set_weights(net.get_weights())
            self.old_generator.set_weights(self.generator.get_weights())

    def variant(self) -> tuple[Any, ...]:
        """Returns what decides the graph: the terms that have no weight."""
        return tuple(layer.omitted for layer in self.generator.moves)

    def rngs(self) -> list[Any]:
        """Returns the variables of all random generators."""
        return [v for part in self._parts() for v in part.rngs()]

    def state(self) -> dict[str, Any]:
        """Returns weights and Adam's moments; the random generators are the trainer's to keep."""
        return {
            "weights": [part.get_weights() for part in self._parts()],
            "adam": [v.numpy() for v in self.adam.variables()],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        for part, saved in zip(self._parts(), state["weights"], strict=True):
            part.set_weights(saved)
        for variable, saved in zip(self.adam.variables(), state["adam"], strict=True):
            variable.assign(saved)

    def _parts(self) -> list[Any]:
        return [part for part in (self.generator, self.old_generator, self.old) if part is not None]
