"""The supervised loop: task after task, all seen ones measured after each; resumable after every task."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clrepro.io.checkpoint import RunDir
from clrepro.metrics import continual
from clrepro.progress import Progress
from clrepro.seeding import Seeds
from clrepro.streams import Task
from hvcl_repro.supervised import mixture, samples
from hvcl_repro.supervised.benchmarks import TaskStream, joined
from hvcl_repro.supervised.build import make, make_judge
from hvcl_repro.supervised.measure import MC_SAMPLES, Measure
from hvcl_repro.supervised.methods import Method
from hvcl_repro.supervised.passes import Passes
from hvcl_repro.supervised.settings import SupervisedSettings

Matrix = NDArray[np.float64]
ARRAYS = ("accuracy", "elbo", "sampled", "seconds", "samples")


@dataclass
class SupervisedResult:
    """What a run measured.

    joint — whether all tasks were trained at once, and measured after the last alone; accuracy — (T, T)
    fractions, [after task, on task], nan where not measured; elbo — the same of the
    generator's bound, nats per image; sampled — (T,) accuracy after the last task with ten drawn networks;
    seconds — of each task (T,); routes — after each task the expert (layers, images) of each of its images;
    mixture — of a network of mixtures, after the last task: det_K, experts_used and gate_moved;
    samples — (T, 6) after each task, what the judge says of the generator's (see `samples.METRICS`).
    """

    joint: bool
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
        if not self.joint:
            out |= {
                "BWT": continual.backward_transfer(r), "F": continual.forgetting(r),
                "LA": continual.learning_accuracy(r),
            }  # fmt: skip
        if np.isfinite(self.elbo[-1]).all():
            out["ELBO"] = float(np.mean(self.elbo[-1]))
        if np.isfinite(self.samples[-1]).all():
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
    n, joint = len(benchmark.stream), settings.method == "joint"
    empty = np.full((n, n), np.nan)
    result = SupervisedResult(
        joint,
        empty,
        empty.copy(),
        np.full(n, np.nan),
        np.zeros(n),
        np.full((n, len(samples.METRICS)), np.nan),
    )
    method = make(settings, benchmark.shape, benchmark.n_classes, n, seeds)
    passes, measure = Passes(method, settings.batch), Measure(method)
    _resume(result, method, seeds, checkpoint)
    judge = make_judge(settings, benchmark) if result.done < n else None
    drawn, shuffle = MC_SAMPLES if settings.bayesian else 0, seeds.generator("shuffle")
    progress = progress or Progress.silent()
    left = range(max(result.done, n - 1 if joint else 0), n)
    if joint:  # one training on everything, in place of the last task
        everything = joined(benchmark.stream)
        epochs = len(rounds(len(everything.y_train), settings.epochs, settings.steps, settings.batch))
        course = progress.run(epochs, 0 if left else epochs, noun="epoch")
    else:
        course = progress.run(n, result.done)
    for number in left:
        began = time.perf_counter()
        task = everything if joint else benchmark.stream[number]
        sizes = rounds(len(task.y_train), settings.epochs, settings.steps, settings.batch)
        first, step = (0, 1) if joint else (number, 1 / (len(sizes) + 1))  # the evaluation counts as a pass
        for epoch, loss in enumerate(_epochs(passes, task, sizes, shuffle, number)):
            if not np.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} in task {number + 1}, epoch {epoch + 1}; lower --lr"
                )
            course.at(first + (epoch + 1) * step)
        _evaluate(result, measure, benchmark, number, drawn)
        if judge is not None:
            images = measure.samples(samples.latents(settings.seed, number, settings.latent))
            labels = [measure.answer(images, head).argmax(axis=1) for head in range(len(method.net.heads))]
            result.samples[number] = judge.measure(images, np.stack(labels), number)
        result.seconds[number] = time.perf_counter() - began
        result.done = number + 1
        course.at(course.n_tasks if joint else number + 1)
        print(_line(result, number), flush=True)
        if checkpoint is not None:
            checkpoint.save_state("task", _state(result, method, seeds))
    return result


def rounds(n: int, epochs: int, steps: int, batch: int) -> list[int]:
    """Returns how many of a task's n images each pass over it trains on: all, but that the last ends with the
    given number of steps, if that is not 0.
    """
    if not steps:
        return [n] * epochs
    whole, left = divmod(steps, -(-n // batch))
    return [n] * whole + ([left * batch] if left else [])


def _epochs(
    passes: Passes, task: Task, sizes: list[int], shuffle: np.random.Generator, number: int
) -> Iterator[float]:
    """Train on a task; yields the loss after each pass."""
    passes.method.begin_task(number, len(task.y_train))
    x, y = tf.constant(task.x_train), tf.constant(task.y_train)
    for size in sizes:
        yield passes.train(x, y, shuffle.permutation(len(task.y_train))[:size], number)
    passes.method.end_task(task.x_train, number)


def _evaluate(
    result: SupervisedResult, measure: Measure, benchmark: TaskStream, number: int, drawn: int
) -> None:
    """Fill row `number`: the tasks seen so far; after the last also with `drawn` networks."""
    for seen in range(number + 1):
        task = benchmark.stream[seen]
        result.accuracy[number, seen] = measure.accuracy(task.x_test, task.y_test, seen)
        result.elbo[number, seen] = measure.elbo(task.x_test)
        if number == len(benchmark.stream) - 1:
            result.sampled[seen] = measure.accuracy(task.x_test, task.y_test, seen, samples=drawn)
    if mixture.mixtures(measure.net.moves):
        _look(result, measure, benchmark, number)


def _look(result: SupervisedResult, measure: Measure, benchmark: TaskStream, number: int) -> None:
    """Note which experts the task's images go to, and after the last task what has become of the mixtures.

    det_K — mean determinant; experts_used — effective number of experts over all tasks' images (see
    `mixture`); gate_moved — share of the earlier tasks' images whose expert is another than right after their
    task, mean over layers and tasks.
    """
    every = [benchmark.stream[seen].x_test for seen in range(number + 1)]
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
