"""What both PyTorch programs are told, checked once, before any data is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.arguments import existing_dir, true_false
from clrepro.errors import UsageError
from clrepro.settings import check, dashed, given, option
from tag_repro.learning_rate import LOWEST_RATE

OTHER_NAMES = {"rotation-mnist": "rot-mnist", "permuted-mnist": "perm-mnist", "cifar-100": "cifar100"}
IMAGE_SETS = {"cifar100": (10, 20), "mini_imagenet": (20,), "mini_imagenet_jpeg": (20,), "cub": (20,),
              "5data": (5,)}  # and their tasks  # fmt: skip
IMAGES = ("mnist", "fashion_mnist", "mnist_quick", "digits", "prototypes")  # what tasks may be made of
COUNT, RATE, OR_NONE = "[1, inf)", "(0, inf)", "[0, inf)"


def usual_name(dataset: str) -> str:
    """Returns a data set's own name for another one of it."""
    return OTHER_NAMES.get(dataset, dataset)


@dataclass(frozen=True)
class Common:
    """The settings that both programs have; each names its own data sets and engines.

    Raises: UsageError on construction, in one line that names the flag, the value and what is allowed.
    """

    tasks: int = option(5, "number of tasks", within=COUNT)
    epochs_per_task: int = option(1, "passes per task", within=COUNT)
    dataset: str = option("rot-mnist", "stream of tasks", parse=usual_name)
    batch_size: int = option(10, "training images per batch", within=COUNT)
    lr: float = option(0.1, "initial learning rate", within=RATE)
    gamma: float = option(0.4, "factor of the rate per task, 1.0: none", within=RATE)
    dropout: float = option(0.25, "share of hidden units dropped", within="[0, 1)")
    hiddens: int = option(256, "units of both hidden layers (MLP)", within=COUNT)
    compute_eigenspectrum: bool = option(
        False, "three eigenvalues of the loss's Hessian after each task", parse=true_false,
        metavar="True|False", bare=True,
    )  # fmt: skip
    seed: int = option(1234, "of every random choice", within=OR_NONE)
    images: str = option("mnist", f"what the tasks are made of, else the profile says: {', '.join(IMAGES)}")
    engine: str = option("auto", "what computes")
    device: str = option("cpu", "torch device of the reference engine", decides=False)
    decay_start: int = option(
        1, "1: the first task's rate is already decayed once, as in the paper's code", within="[0, 1]"
    )
    rotation_step: float = option(
        0.0, "between rotated tasks; 0: 10, of main.py 360 / tasks or so, 10 from 11 on", within=OR_NONE,
        metavar="DEGREES",
    )  # fmt: skip
    lr_floor: float = option(LOWEST_RATE, "below which the rate does not fall", within=OR_NONE)

    def __post_init__(self) -> None:
        check(self, dashed)
        if self.rotation_step and self.dataset != "rot-mnist":
            raise UsageError(f"--rotation-step: {self.dataset} is not turned")
        if self.dataset in IMAGE_SETS:
            self._check_images()
        elif self.images not in IMAGES[:-1]:
            raise UsageError(f"--images {self.images}: of {self.dataset} one of {', '.join(IMAGES[:-1])}")

    def _check_images(self) -> None:
        quick = self.images == "prototypes"
        allowed = (10, 20) if quick and self.dataset != "5data" else IMAGE_SETS[self.dataset]
        if self.tasks not in allowed:
            known = " or ".join(map(str, allowed))
            raise UsageError(f"--tasks {self.tasks}: {self.dataset} comes in {known} tasks")
        if self.images not in (self.dataset, "prototypes"):
            raise UsageError(f"--images {self.images}: {self.dataset} is made of itself or of prototypes")
        if self.engine in ("fused", "batched"):
            raise UsageError(f"--engine {self.engine}: for the MLP of rot-mnist and perm-mnist alone")


@dataclass(frozen=True)
class Session:
    """Where and how a command is done; the numbers do not depend on it but for what `profile` stands for."""

    data_dir: Path | None = option(None, "folder of the data sets, and nowhere else", parse=existing_dir)
    profile: str = option(
        "full", "quick: scikit-learn's digits, and synthetic pictures for image sets",
        choices=("full", "quick"),
    )  # fmt: skip
    threads: int = option(1, "of the framework", within=COUNT)
    resume: bool = option(False, "continue an interrupted run of the same settings")

    def __post_init__(self) -> None:
        check(self, dashed)


@dataclass(frozen=True)
class TorchSession(Session):
    """What the PyTorch programs have beside it."""

    no_plots: bool = option(False, "no figures")
    out: Path = option(Path("outputs"), "folder of the results", parse=Path)


@dataclass(frozen=True)
class Command:
    """A command line: its settings, its session, and its words."""

    settings: Any
    session: Any
    words: tuple[str, ...] = ()


def settings_of(kind: type[Any], flags: Mapping[str, Any], quick: bool) -> Any:
    """Returns settings of a kind from parsed flags, those that are None left to their defaults.

    Args: quick — whether images that are not named are those of the quick profile.
    """
    chosen = given(kind, flags)
    dataset = chosen.get("dataset", kind.dataset)
    usual = ("prototypes" if quick else dataset) if dataset in IMAGE_SETS else "digits" if quick else "mnist"
    return kind(**{"images": usual, **chosen})
