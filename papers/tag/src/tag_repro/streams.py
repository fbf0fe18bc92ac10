"""The streams of tasks of both programs.  Spec section 7; the image sets are in image_streams.py."""

from pathlib import Path

import numpy as np

from clrepro.streams import permuted, rotated
from tag_repro.image_streams import build_images
from tag_repro.settings import IMAGE_SETS, Common
from tag_repro.task_stream import TaskStream, load_split

STABLE_STEP = 10.0  # degrees from task to task
TAG_STEPS = {1: 360.0, 2: 180.0, 3: 120.0, 4: 90.0, 5: 60.0, 6: 60.0, 7: 45.0, 8: 45.0, 9: 30.0, 10: 30.0}
TURN_SEED = 0  # of TAG's angles, in every run: its program draws them before it seeds the first


def build(
    settings: Common,
    rng: np.random.Generator,
    data_dir: Path | None,
    *,
    multi_head: bool,
    turn_seed: int | None = None,
) -> TaskStream:
    """Returns the task_stream that the settings name.

    Args: rng — draws permutations; turn_seed — of the angles, default the settings' seed; data_dir — look
        there and nowhere else; multi_head — of permuted and rotated images: outputs of its own for every
        task (the TAG driver).
    Raises: DataError for missing or damaged files.
    """
    if settings.dataset in IMAGE_SETS:
        return build_images(settings, data_dir)
    data, checksums = load_split(settings.images, data_dir)
    if settings.dataset == "perm-mnist":
        stream = permuted(data, settings.tasks, rng, first_identity=True)
    else:
        step = settings.rotation_step or (
            TAG_STEPS.get(settings.tasks, STABLE_STEP) if multi_head else STABLE_STEP
        )
        stream = rotated(
            data, angles(settings.tasks, settings.seed if turn_seed is None else turn_seed, step)
        )
    return TaskStream(settings.dataset, stream, 10, multi_head, checksums)


def angles(tasks: int, seed: int, step: float) -> list[float]:
    """Returns the angle of each task in degrees, counter-clockwise: step · t - step · u, u uniform in [0, 1).

    Drawn as both published programs draw them, so that their tasks can be repeated: by numpy's old generator,
    seeded once before the first task.
    """
    drawn = np.random.RandomState(seed)
    return [step * task - step * drawn.random_sample() for task in range(tasks)]
