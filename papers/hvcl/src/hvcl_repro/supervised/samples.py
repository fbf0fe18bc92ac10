"""What a generator still generates: its samples, judged by a classifier that was trained apart.

A sample carries no label, so a judge gives it one.  The judge is a plain network of the run's sizes, trained
on the real images of all tasks at once to name the *kind* of an image: (task, label), which for split
benchmarks is the original class and for permuted ones a digit under a permutation.
Source: spec 8, row "Generative" ("classifier accuracy on samples"); scores from a classifier trained apart,
as the inception score (Salimans et al. 2016).  The quantities are ours: the paper's could not be read.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clrepro.seeding import Seeds
from hvcl_repro.supervised.benchmarks import Parts, TaskStream, parts
from hvcl_repro.supervised.learner import Learner
from hvcl_repro.supervised.settings import SupervisedSettings

SAMPLES = 2000
METRICS = ("SAMPLE_ACC", "SAMPLE_H", "SAMPLE_EARLIER", "SAMPLE_CONF", "JUDGE_ACC")
# Images (n, inputs) to probabilities (n, classes).
Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Judge:
    """answer — images to probabilities of each kind, tasks · n_classes columns; accuracy — on the real images
    that the run is evaluated on; n_classes — labels per task.
    """

    answer: Answer
    accuracy: float
    n_classes: int

    def measure(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], number: int
    ) -> NDArray[np.float64]:
        """Returns what samples drawn after task `number` (from 0) are like: one fraction for each of METRICS.

        SAMPLE_ACC — share whose label by the learner is that of the judge's kind; SAMPLE_H — entropy of the
        kinds' histogram over the log of the number of all kinds: 1 where all come equally often, 0 where one
        comes alone; SAMPLE_EARLIER — share of kinds of earlier tasks: number / (number + 1) where all tasks
        come equally often; SAMPLE_CONF — mean probability of the kind named; JUDGE_ACC — its accuracy.
        Args: images — (n, inputs); labels — (n,) that the learner gives them.
        """
        p = self.answer(images)
        kinds = p.argmax(axis=1)
        share = np.bincount(kinds, minlength=p.shape[1]) / len(kinds)
        present = share[share > 0]
        return np.array([
            np.mean(kinds % self.n_classes == labels),
            max(0.0, -np.sum(present * np.log(present)) / np.log(p.shape[1])),
            np.mean(kinds // self.n_classes < number),
            p.max(axis=1).mean(dtype=np.float64),
            self.accuracy,
        ])  # fmt: skip


def judge_seeds(settings: SupervisedSettings) -> Seeds:
    """Returns the judge's own random generators: apart from the run's, and the same when it is resumed."""
    return Seeds(Seeds(settings.seed).integer("judge"))


def latents(settings: SupervisedSettings, number: int) -> NDArray[np.float32]:
    """Returns the latent variables (SAMPLES, latent) of the samples after task `number`, standard normal."""
    rng = judge_seeds(settings).generator(f"latents/{number}")
    return rng.standard_normal((SAMPLES, settings.latent), dtype=np.float32)


def kinds_of(benchmark: TaskStream, eval_on: str) -> Parts:
    """Returns all tasks' images in one, labelled by kind: number of the task · labels per task + label."""
    every = [parts(task, eval_on) for task in benchmark.stream]
    x, x_eval = (np.concatenate([getattr(part, name) for part in every]) for name in ("x", "x_eval"))
    y, y_eval = (
        np.concatenate([t * benchmark.n_classes + getattr(part, name) for t, part in enumerate(every)])
        for name in ("y", "y_eval")
    )
    return Parts(x, y, x_eval, y_eval)


def train_judge(settings: SupervisedSettings, benchmark: TaskStream) -> Judge:
    """Returns the judge: the `joint` baseline on kinds, with the run's sizes, epochs and rate."""
    seeds = judge_seeds(settings)
    everything = kinds_of(benchmark, settings.eval_on)
    n_kinds = len(benchmark.stream) * benchmark.n_classes
    learner = Learner(replace(settings, method="joint"), benchmark.shape, n_kinds, seeds)
    learner.begin(len(everything.y))
    shuffle = seeds.generator("shuffle")
    x, y = tf.constant(everything.x), tf.constant(everything.y)
    for _ in range(settings.epochs):
        learner.epoch(x, y, shuffle.permutation(len(everything.y)))
    accuracy = learner.accuracy(everything.x_eval, everything.y_eval)
    return Judge(learner.answer, accuracy, benchmark.n_classes)
