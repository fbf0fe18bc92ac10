"""What a generator still generates: its samples, judged by a classifier that was trained apart.

A sample carries no label, so a judge gives it one.  The judge is a plain network of the run's sizes, trained
on the real images of all tasks at once to name the *kind* of an image: (task, label), which for split
benchmarks is the original class and for permuted ones a digit under a permutation.
Source: spec 8, row "Generative" ("classifier accuracy on samples"); scores from a classifier trained apart,
as the inception score (Salimans et al. 2016).  The quantities are ours: the paper's could not be read.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clrepro.seeding import Seeds
from hvcl_repro.supervised.benchmarks import TaskStream, joined
from hvcl_repro.supervised.measure import Measure
from hvcl_repro.supervised.methods import Method
from hvcl_repro.supervised.passes import Passes

SAMPLES = 2000
METRICS = ("SAMPLE_ACC", "SAMPLE_H", "SAMPLE_EARLIER", "SAMPLE_CONF", "JUDGE_ACC", "SAMPLE_SD")
# Images (n, inputs) to probabilities (n, classes).
Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Judge:
    """answer — images to probabilities of each kind, tasks · n_classes columns; accuracy — on the real images
    that the run is evaluated on; n_classes — labels per task; deviations — of the training images of the
    first task, the first two, and so on.
    """

    answer: Answer
    accuracy: float
    n_classes: int
    deviations: tuple[float, ...]

    def measure(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], number: int
    ) -> NDArray[np.float64]:
        """Returns what samples drawn after task `number` (from 0) are like: one fraction for each of METRICS.

        SAMPLE_ACC — share whose label by the learner is that of the judge's kind; SAMPLE_H — entropy of the
        kinds' histogram over the log of the number of all kinds: 1 where all come equally often, 0 where one
        comes alone; SAMPLE_EARLIER — share of kinds of earlier tasks: number / (number + 1) where all tasks
        come equally often; SAMPLE_CONF — mean probability of the kind named; JUDGE_ACC — its accuracy;
        SAMPLE_SD — the samples' deviation over that of the real images of the tasks seen: near 0 where the
        generator has collapsed to one image.
        Args: images — (n, inputs); labels — (n,) that the learner gives them, or (tasks, n) of its heads,
        of which that of the kind's task counts.
        """
        p = self.answer(images)
        kinds = p.argmax(axis=1)
        share = np.bincount(kinds, minlength=p.shape[1]) / len(kinds)
        present = share[share > 0]
        heads = np.atleast_2d(labels)
        told = heads[np.minimum(kinds // self.n_classes, len(heads) - 1), np.arange(len(kinds))]
        return np.array([
            np.mean(kinds % self.n_classes == told),
            max(0.0, -np.sum(present * np.log(present)) / np.log(p.shape[1])),
            np.mean(kinds // self.n_classes < number),
            p.max(axis=1).mean(dtype=np.float64),
            self.accuracy,
            deviations([images])[0] / self.deviations[number],
        ])  # fmt: skip


def deviations(tasks: Iterable[NDArray[np.uint8]]) -> tuple[float, ...]:
    """Returns how far images lie apart, in grey levels: of the first task's, the first two tasks', and so on.

    It is the root of the mean over pixels of the variance.  Args: tasks — images (n, inputs) each.
    """
    n, total, squares, out = 0, 0.0, 0.0, []
    for x in tasks:
        n += len(x)
        total = total + x.sum(axis=0, dtype=np.float64)
        squares = squares + np.einsum("ij,ij->j", x, x, dtype=np.float64, casting="unsafe")
        out.append(float(np.sqrt(np.mean(squares / n - np.square(total / n)))))
    return tuple(out)


def judge_seeds(seed: int) -> Seeds:
    """Returns the judge's own random generators: apart from the run's, and the same when it is resumed."""
    return Seeds(Seeds(seed).integer("judge"))


def latents(seed: int, number: int, latent: int) -> NDArray[np.float32]:
    """Returns the latent variables (SAMPLES, latent) of the samples after task `number`, standard normal."""
    rng = judge_seeds(seed).generator(f"latents/{number}")
    return rng.standard_normal((SAMPLES, latent), dtype=np.float32)


def train_judge(
    joint: Method, benchmark: TaskStream, shuffle: np.random.Generator, *, epochs: int, batch: int
) -> Judge:
    """Returns the judge: a `joint` baseline trained on the kinds of all tasks' images.

    Args: joint — fresh, an output per kind; epochs — passes, in batches of `batch` images.
    """
    everything = joined(benchmark.stream, benchmark.n_classes)
    joint.begin_task(0, len(everything.y_train))
    passes, measure = Passes(joint, batch), Measure(joint)
    x, y = tf.constant(everything.x_train), tf.constant(everything.y_train)
    for _ in range(epochs):
        passes.train(x, y, shuffle.permutation(len(everything.y_train)), 0)
    accuracy = measure.accuracy(everything.x_test, everything.y_test, 0)
    spread = deviations(task.x_train for task in benchmark.stream)
    return Judge(lambda images: measure.answer(images, 0), accuracy, benchmark.n_classes, spread)
