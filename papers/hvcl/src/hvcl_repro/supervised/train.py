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
from hvcl_repro.supervised.build import make
from hvcl_repro.supervised.measure import MC_SAMPLES, Measure
from hvcl_repro.supervised.methods import Method
from hvcl_repro.supervised.passes import Passes
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
    samples — (T, 6) after each task, what the judge says of the generator's (see `samples.METRICS`).
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
        out = {"ACC": continual.average_accuracy(r), "ACC_mc": float(np.mean(self.sampled))}
        if self.settings.method != "joint":  # which measures after the last task alone
            out |= {
                "BWT": continual.backward_transfer(r), "F": continual.forgetting(r),
                "LA": continual.learning_accuracy(r),
            }  # fmt: skip
        if self.settings.generative:
            out["ELBO"] = float(np.mean(self.elbo[-1]))
            if np.isfinite(self.samples[-1]).all():  # not where the judge was left out
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
    method = make(settings, benchmark.shape, benchmark.n_classes, n, seeds)
    passes, measure = Passes(method, settings.batch), Measure(method)
    _resume(result, method, seeds, checkpoint)
    judge = samples.train_judge(settings, benchmark) if settings.generative and result.done < n else None
    shuffle = seeds.generator("shuffle")
    course = _course(progress or Progress.silent(), settings, benchmark, result.done)
    for number in range(result.done, n):
        began = time.perf_counter()
        if settings.method == "joint" and number < n - 1:
            continue  # one training on everything, in place of the last task
        task = (
            _joined(benchmark, settings)
            if settings.method == "joint"
            else parts(benchmark.stream[number], settings.eval_on)
        )
        _train(passes, task, settings, shuffle, number, course)
        _evaluate(result, measure, benchmark, number)
        if judge is not None:
            images = measure.samples(samples.latents(settings, number))
            labels = [measure.answer(images, head).argmax(axis=1) for head in range(len(method.net.heads))]
            result.samples[number] = judge.measure(images, np.stack(labels), number)
        result.seconds[number] = time.perf_counter() - began
        result.done = number + 1
        course.at(course.n_tasks if settings.method == "joint" else number + 1)
        print(_line(result, number), flush=True)
        if checkpoint is not None:
            checkpoint.save_state("task", _state(result, method, seeds))
    return result


def _course(progress: Progress, settings: SupervisedSettings, benchmark: TaskStream, done: int) -> Course:
    """The way through the tasks, or through the epochs of one training on everything."""
    n_tasks = len(benchmark.stream)
    if settings.method != "joint":
        return progress.run(n_tasks, done)
    images = sum(len(parts(task, settings.eval_on).y) for task in benchmark.stream) if settings.steps else 0
    epochs = len(rounds(settings, images))
    return progress.run(epochs, epochs if done == n_tasks else 0, noun="epoch")


def rounds(settings: SupervisedSettings, n: int) -> list[int]:
    """Returns how many of n images each pass over a task trains on: all, but that the last ends with the
    given number of steps.
    """
    if not settings.steps:
        return [n] * settings.epochs
    per_pass = -(-n // settings.batch)
    whole, left = divmod(settings.steps, per_pass)
    return [n] * whole + ([left * settings.batch] if left else [])


def _train(
    passes: Passes,
    task: Parts,
    settings: SupervisedSettings,
    shuffle: np.random.Generator,
    number: int,
    course: Course,
) -> None:
    passes.method.begin_task(number, len(task.y))
    x, y = tf.constant(task.x), tf.constant(task.y)
    sizes = rounds(settings, len(task.y))
    for epoch, size in enumerate(sizes):
        loss = passes.train(x, y, shuffle.permutation(len(task.y))[:size], number)
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} in task {number + 1}, epoch {epoch + 1}; lower --lr"
            )
        part = (epoch + 1) / (len(sizes) + 1)  # then the evaluation
        course.at(epoch + 1 if settings.method == "joint" else number + part)
    passes.method.end_task(task.x, number)


def _evaluate(result: SupervisedResult, measure: Measure, benchmark: TaskStream, number: int) -> None:
    """Fill row `number`: the tasks seen so far; after the last also with drawn networks."""
    last = number == len(benchmark.stream) - 1
    for seen in range(number + 1):
        task = parts(benchmark.stream[seen], result.settings.eval_on)
        result.accuracy[number, seen] = measure.accuracy(task.x_eval, task.y_eval, seen)
        result.elbo[number, seen] = measure.elbo(task.x_eval)
        if last:
            samples = MC_SAMPLES if result.settings.bayesian else 0
            result.sampled[seen] = measure.accuracy(task.x_eval, task.y_eval, seen, samples=samples)
    if mixture.mixtures(measure.net.moves):
        _look(result, measure, benchmark, number)


def _look(result: SupervisedResult, measure: Measure, benchmark: TaskStream, number: int) -> None:
    """Note which experts the task's images go to, and after the last task what has become of the mixtures.

    det_K — mean determinant; experts_used — effective number of experts over all tasks' images (see
    `mixture`); gate_moved — share of the earlier tasks' images whose expert is another than right after their
    task, mean over layers and tasks.
    """
    every = [parts(task, result.settings.eval_on).x_eval for task in benchmark.stream][: number + 1]
    result.routes.append(mixture.routes(measure.gate_weights(every[-1], number)))
    if number < len(benchmark.stream) - 1:
        return
    weights = [measure.gate_weights(x, seen) for seen, x in enumerate(every)]
    joined = [np.concatenate(layer) for layer in zip(*weights, strict=True)]
    result.mixture = {
        "det_K": mixture.determinant(measure.net.moves),
        "experts_used": mixture.experts_used(joined),
    }
    if number:
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


def _state(result: SupervisedResult, method: Method, seeds: Seeds) -> dict[str, Any]:
    return {
        "method": method.state(), "seeds": seeds.state(), "done": result.done,
        "routes": result.routes, "mixture": result.mixture,
        **{name: getattr(result, name) for name in ARRAYS},
    }  # fmt: skip


def _resume(result: SupervisedResult, method: Method, seeds: Seeds, checkpoint: RunDir | None) -> None:
    saved = checkpoint.load_state("task") if checkpoint is not None else None
    if saved is None:
        return
    method.load(saved["method"])
    seeds.load(saved["seeds"])
    for name in ARRAYS:
        getattr(result, name)[...] = saved[name]
    result.routes, result.mixture = list(saved["routes"]), dict(saved["mixture"])
    result.done = int(saved["done"])
