"""The streams of the two programs: the tasks of the PyTorch programs, and prototypes for CIFAR-100."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.streams import split_classes
from clrepro.streams.tasks import Split
from tag_repro.settings import Common
from tag_repro.streams import build
from tag_repro.synthetic_images import prototype_images
from tag_repro.task_stream import TaskStream, load_split
from tag_repro.tensorflow.settings import CONV, TfSettings

PROTOTYPE_CLASSES = {10: 20, 20: 100}  # by the number of tasks: 10 of 2 classes, or 20 of 5


def task_stream(settings: TfSettings, rng: np.random.Generator, data_dir: Path | None) -> TaskStream:
    """Returns the tasks that the settings name.

    Permuted and rotated images are those of `python -m stable_sgd.main` with the same seed: 20 tasks (the
    original had 23), one head of ten outputs, turned by 10 degrees from task to task.  CIFAR-100 comes in 20
    tasks of 5 classes (the original: of 4, 80 classes in all), one head of 100 outputs, of which a task uses
    its own.
    Args: rng — draws permutations, angles, and the classes' order if it is to be shuffled.
    Raises: DataError for missing or damaged files.
    """
    if settings.program != CONV:
        common = Common(
            dataset=settings.dataset, tasks=settings.tasks, images=settings.images, seed=settings.random_seed,
            rotation_step=settings.rotation_step,
        )  # fmt: skip
        return build(common, rng, data_dir, multi_head=False)
    if settings.images == "prototypes":
        data, checksums = prototype_images(PROTOTYPE_CLASSES[settings.tasks])
    else:
        data, checksums = load_split(settings.images, data_dir)
    return split(settings, data, checksums, rng)


def split(
    settings: TfSettings, data: Split, checksums: dict[str, str], rng: np.random.Generator
) -> TaskStream:
    """Returns the classes of a data set dealt out to the tasks; numbered 0, 1, ... in each."""
    n_classes = int(data[1].max()) + 1
    per_task = n_classes // settings.tasks
    order = (
        list(range(n_classes)) if settings.class_order == "natural" else rng.permutation(n_classes).tolist()
    )
    stream = split_classes(data, per_task, labels="within_task", order=order)
    return TaskStream(settings.dataset, stream, per_task, True, checksums)


def mean_image(found: TaskStream) -> NDArray[np.float32]:
    """Returns the mean training image of the whole stream, float32 (inputs,), in grey levels of 0 to 1."""
    total, count = np.zeros(found.stream.n_inputs), 0
    for task in found.stream:
        total += task.x_train.sum(axis=0, dtype=np.float64)
        count += len(task.x_train)
    return np.asarray(total / count / 255, np.float32)
