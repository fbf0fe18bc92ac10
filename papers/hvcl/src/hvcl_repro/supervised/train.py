"""The supervised loop: task after task, all seen ones measured after each; resumable after every task."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clrepro.io.checkpoint import RunDir
from clrepro.metrics import continual
from clrepro.progress import Course, Progress
from clrepro.seeding import Seeds
from hvcl_repro.supervised import mixture, samples
from hvcl_repro.supervised.benchmarks import Parts, TaskStream, parts
from hvcl_repro.supervised.learner import MC_SAMPLES, Learner
from hvcl_repro.supervised.settings import SupervisedSettings

Matrix = NDArray[np.float64]
ARRAYS = ("accuracy", "elbo", "sampled", "seconds", "samples")


@dataclass
class SupervisedResult:
    """What a run measured.

    accuracy — (T, T) fractions, [after task, on task], nan where not measured; elbo — the same of the
    generator's bound, nats per image; sampled — (T,) accuracy after the last task with ten drawn networks;
    seconds — of each task (T,); routes — after each task the expert (layers, images) of each of its images;
    mixture — of a network of mixtures, after the last task: det_K, experts_used and gate_moved;
    samples — (T, 5) after each task, what the judge says of the generator's (see `samples.METRICS`).
    """

    settings: SupervisedSettings
    checksums: dict[str, str]
    accuracy: Matrix
    elbo: Matrix
    sampled: NDArray[np.float64]
    seconds: NDArray[np.float64]
    samples: Matrix
    routes: list[NDArray[np.int64]] = field(default_factory=list)
    mixture: dict[str, float] = field(default_factory=dict)
    done: int = 0

    def metrics(self) -> dict[str, float]:
        """Returns ACC, BWT, F, LA, fractions (spec 6.1), ACC_mc; ELBO in nats and what the judge says if
        there is a generator; what `_look` measures if there are mixtures.
        """
        r = self.accuracy
        out = {"ACC": continual.gem_accuracy(r), "ACC_mc": float(np.mean(self.sampled))}
        if self.settings.method != "joint":  # which measures after the last task alone
            out |= {
                "BWT": continual.gem_backward(r), "F": continual.chaudhry_forgetting(r),
                "LA": continual.mer_learning_accuracy(r),
            }  # fmt: skip
        if self.settings.generative:
            out["ELBO"] = float(np.mean(self.elbo[-1]))
            if np.isfinite(self.samples[-1]).all():  # a finished checkpoint of an older version has none
                out |= dict(zip(samples.METRICS, self.samples[-1].tolist(), strict=True))
        return out | self.mixture


def run(
    settings: SupervisedSettings,
    benchmark: TaskStream,
    seeds: Seeds,
    *,
    checkpoint: RunDir | None = None,
    progress: Progress | None = None,
) -> SupervisedResult:
    """Train on all tasks, or on those that a checkpoint has left; prints a line per task.

    Raises: FloatingPointError if the loss is no number any more.
    """
    n = len(benchmark.stream)
    empty = np.full((n, n), np.nan)
    result = SupervisedResult(
        settings, benchmark.checksums, empty, empty.copy(), np.full(n, np.nan), np.zeros(n),
        np.full((n, len(samples.METRICS)), np.nan),
    )  # fmt: skip
    learner = Learner(settings, benchmark.shape, benchmark.n_classes, seeds)
    _resume(result, learner, seeds, checkpoint)
    judge = samples.train_judge(settings, benchmark) if settings.generative and result.done < n else None
    shuffle = seeds.generator("shuffle")
    course = _course(progress or Progress.silent(), settings, n, result.done)
    for number in range(result.done, n):
        began = time.perf_counter()
        if settings.method == "joint" and number < n - 1:
            continue  # one training on everything, in place of the last task
        task = (
            _joined(benchmark, settings)
            if settings.method == "joint"
            else parts(benchmark.stream[number], settings.eval_on)
        )
        _train(learner, task, settings, shuffle, number, course)
        _evaluate(result, learner, benchmark, number)
        if judge is not None:
            images = learner.samples(samples.latents(settings, number))
            labels = learner.answer(images).argmax(axis=1)
            result.samples[number] = judge.measure(images, labels, number)
        result.seconds[number] = time.perf_counter() - began
        result.done = number + 1
        course.at(course.n_tasks if settings.method == "joint" else number + 1)
        print(_line(result, number), flush=True)
        if checkpoint is not None:
            checkpoint.save_state("task", _state(result, learner, seeds))
    return result


def _course(progress: Progress, settings: SupervisedSettings, n_tasks: int, done: int) -> Course:
    """The way through the tasks, or through the epochs of one training on everything."""
    if settings.method == "joint":
        return progress.run(settings.epochs, settings.epochs if done == n_tasks else 0, noun="epoch")
    return progress.run(n_tasks, done)


def _train(
    learner: Learner,
    task: Parts,
    settings: SupervisedSettings,
    shuffle: np.random.Generator,
    number: int,
    course: Course,
) -> None:
    learner.begin(len(task.y))
    x, y = tf.constant(task.x), tf.constant(task.y)
    for epoch in range(settings.epochs):
        loss = learner.epoch(x, y, shuffle.permutation(len(task.y)))
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} in task {number + 1}, epoch {epoch + 1}; lower --lr"
            )
        part = (epoch + 1) / (settings.epochs + 1)  # then the evaluation
        course.at(epoch + 1 if settings.method == "joint" else number + part)
    learner.end(task.x)


def _evaluate(result: SupervisedResult, learner: Learner, benchmark: TaskStream, number: int) -> None:
    """Fill row `number`: the tasks seen so far; after the last also with drawn networks."""
    last = number == len(benchmark.stream) - 1
    for seen in range(number + 1):
        task = parts(benchmark.stream[seen], result.settings.eval_on)
        result.accuracy[number, seen] = learner.accuracy(task.x_eval, task.y_eval)
        result.elbo[number, seen] = learner.elbo(task.x_eval)
        if last:
            samples = MC_SAMPLES if result.settings.bayesian else 0
            result.sampled[seen] = learner.accuracy(task.x_eval, task.y_eval, samples=samples)
    if mixture.mixtures(learner.model):
        _look(result, learner, benchmark, number)


def _look(result: SupervisedResult, learner: Learner, benchmark: TaskStream, number: int) -> None:
    """Note which experts the task's images go to, and after the last task what has become of the mixtures.

    det_K — mean determinant; experts_used — effective number of experts over all tasks' images (see
    `mixture`); gate_moved — share of the earlier tasks' images whose expert is another than right after their
    task, mean over layers and tasks.
    """
    every = [parts(task, result.settings.eval_on).x_eval for task in benchmark.stream][: number + 1]
    result.routes.append(mixture.routes(learner.gate_weights(every[-1])))
    if number < len(benchmark.stream) - 1:
        return
    weights = [learner.gate_weights(x) for x in every]
    joined = [np.concatenate(layer) for layer in zip(*weights, strict=True)]
    result.mixture = {
        "det_K": mixture.determinant(learner.model),
        "experts_used": mixture.experts_used(joined),
    }
    if number and len(result.routes) == number + 1:  # a checkpoint of an older version has none
        pairs = zip(result.routes[:-1], weights[:-1], strict=True)
        moved = [np.mean(then != mixture.routes(now)) for then, now in pairs]
        result.mixture["gate_moved"] = float(np.mean(moved))


def _joined(benchmark: TaskStream, settings: SupervisedSettings) -> Parts:
    """Returns all tasks in one."""
    each = [parts(task, settings.eval_on) for task in benchmark.stream]
    names = ("x", "y", "x_eval", "y_eval")
    return Parts(*(np.concatenate([getattr(part, name) for part in each]) for name in names))


def _line(result: SupervisedResult, number: int) -> str:
    row = result.accuracy[number, : number + 1]
    cells = " ".join(f"{100 * a:6.2f}" for a in row)
    return f"task {number + 1}: mean {100 * row.mean():6.2f} % | {cells} | {result.seconds[number]:.1f} s"


def _state(result: SupervisedResult, learner: Learner, seeds: Seeds) -> dict[str, Any]:
    return {
        "learner": learner.state(), "seeds": seeds.state(), "done": result.done,
        "routes": result.routes, "mixture": result.mixture,
        **{name: getattr(result, name) for name in ARRAYS},
    }  # fmt: skip


def _resume(result: SupervisedResult, learner: Learner, seeds: Seeds, checkpoint: RunDir | None) -> None:
    saved = checkpoint.load_state("task") if checkpoint is not None else None
    if saved is None:
        return
    learner.load(saved["learner"])
    seeds.load(saved["seeds"])
    for name in ARRAYS:
        if name in saved:  # an older version's has no samples
            getattr(result, name)[...] = saved[name]
    result.routes, result.mixture = list(saved.get("routes", [])), dict(saved.get("mixture", {}))
    result.done = int(saved["done"])
