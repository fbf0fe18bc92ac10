"""Everything a run is told, checked once, before any data is read."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

from clrepro.errors import UsageError

TASK_TYPES = ("permutation", "rotation", "class_split")
DATASETS = ("mnist", "fashion_mnist", "cifar10")
# Ours: the MNIST digits that the package brings, and scikit-learn's 8×8 digits.
ALL_DATASETS = (*DATASETS, "mnist_quick", "digits")
INPUTS = {"cifar10": 1024, "digits": 64}  # pixels of an image; 784 otherwise
METHODS = ("ta-agem", "sgd", "agem-random", "agem-reservoir", "paper")
INTRODUCTIONS = ("sequential", "half and half", "random", "continuous")
REMOVALS = (
    "remove_oldest", "remove_based_on_mean", "remove_random", "remove_newest", "remove_oldest_unless_far",
    "remove_oldest_unless_middle_far",
)  # fmt: skip
UPDATES = ("epoch", "batch")
ENGINES = ("auto", "fused", "reference")
N_CLASSES = 10
SEEDS = 2**32


@dataclass(frozen=True)
class Settings:
    """One run, everything resolved: no key here depends on another any more.

    memory_size_q is clusters per pool (Q), memory_size_p samples per cluster (P), num_epochs either one
    number or one per task.  seed is always a number: where none was given, `config.resolve` has drawn it.
    data_seed puts the images of the files into an order of its own before tasks take their slices; None: as
    they lie in the files.
    Raises: UsageError on construction, in one line that names the key, the value and what is allowed.
    """

    task_type: str = "permutation"
    dataset_name: str = "mnist"
    method: str = "ta-agem"
    seed: int = 0
    num_tasks: int = 10
    num_pools: int = 10
    memory_size_q: int = 10
    memory_size_p: int = 3
    hidden_dim: int = 200
    batch_size: int = 10
    learning_rate: float = 1e-3
    num_epochs: int | tuple[int, ...] = 20
    task_introduction: str = "sequential"
    num_transition_epochs: int = 10
    random_em: bool = True
    sampling_rate: float = 1.0
    add_remove_randomly: bool = False
    removal_function: str = "remove_oldest"
    memory_update: str = "epoch"
    use_learning_rate_scheduler: bool = False
    testing_interval: int = 0
    only_one_epoch: bool = False
    quick_test_mode: bool = False
    engine: str = "auto"
    device: str = "cpu"
    verbose: bool = True
    show_images: bool = False
    save_model: bool = False
    use_mlflow: bool = True
    experiment_name: str = "Unnamed"
    output_dir: str = "test_results"
    data_dir: str | None = None
    data_seed: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} {getattr(self, name)!r}: one of {', '.join(allowed)}")
        for name, least in AT_LEAST.items():
            if getattr(self, name) < least:
                raise UsageError(f"{name} {getattr(self, name)}: must be {least} or more")
        self._check_numbers()
        self._check_epochs()

    def _check_numbers(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"learning_rate {self.learning_rate}: must be a finite number above 0")
        if not 0 < self.sampling_rate <= self.batch_size:
            raise UsageError(
                f"sampling_rate {self.sampling_rate}: above 0 and at most the batch size ({self.batch_size})"
            )
        for name in ("seed", "data_seed"):
            number = getattr(self, name)
            if number is not None and not 0 <= number < SEEDS:
                raise UsageError(f"{name} {number}: must be from 0 to {SEEDS - 1}")
        if self.task_type == "class_split" and self.num_tasks != 5:
            raise UsageError(f"num_tasks {self.num_tasks}: class_split makes 5 tasks of the 10 classes")

    def _check_epochs(self) -> None:
        per_task = self.epochs_per_task
        if len(per_task) != self.num_tasks or min(per_task) < 1:
            raise UsageError(f"num_epochs {self.num_epochs}: one number, or one per task, each 1 or more")
        if self.task_introduction == "continuous":
            if not isinstance(self.num_epochs, int):
                raise UsageError("num_epochs: a continuous introduction takes one number for all tasks")
            if not 1 <= self.num_transition_epochs <= self.num_epochs:
                raise UsageError(
                    f"num_transition_epochs {self.num_transition_epochs}: 1 to num_epochs ({self.num_epochs})"
                )

    @property
    def epochs_per_task(self) -> tuple[int, ...]:
        """Epochs of each task, int (num_tasks,); 1 each for a single pass."""
        if self.only_one_epoch:
            return (1,) * self.num_tasks
        return (self.num_epochs,) * self.num_tasks if isinstance(self.num_epochs, int) else self.num_epochs

    @property
    def input_dim(self) -> int:
        """Pixels of an image, CIFAR-10 in grey."""
        return INPUTS.get(self.dataset_name, 784)

    @property
    def memory_capacity(self) -> int:
        """Most samples that the memory may hold: pools · Q · P."""
        return self.num_pools * self.memory_size_q * self.memory_size_p

    def fingerprint(self) -> dict[str, Any]:
        """Returns the settings that decide the numbers: all but folders, names, output and tracking."""
        return {name: value for name, value in asdict(self).items() if name not in WITHOUT_EFFECT}


CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "task_type": TASK_TYPES, "dataset_name": ALL_DATASETS, "method": METHODS, "engine": ENGINES,
    "task_introduction": INTRODUCTIONS, "removal_function": REMOVALS, "memory_update": UPDATES,
})  # fmt: skip
AT_LEAST: Mapping[str, int] = MappingProxyType({
    "num_tasks": 1, "num_pools": 1, "memory_size_q": 1, "memory_size_p": 1, "hidden_dim": 1, "batch_size": 1,
    "testing_interval": 0,
})  # fmt: skip
WITHOUT_EFFECT = frozenset({
    "verbose", "show_images", "save_model", "use_mlflow", "experiment_name", "output_dir", "data_dir",
    "device",
})  # fmt: skip
FIELDS = tuple(field.name for field in fields(Settings))
