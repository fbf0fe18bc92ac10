"""Everything a run is told, checked once, before any data is read."""

from dataclasses import dataclass, fields

from clrepro.errors import UsageError
from clrepro.settings import check, option
from ta_agem_repro.memory.removal import REMOVALS
from ta_agem_repro.methods import METHODS

TASK_TYPES = ("permutation", "rotation", "class_split")
DATASETS = ("mnist", "fashion_mnist", "cifar10")
# Ours: the MNIST digits that the package brings, and scikit-learn's 8×8 digits.
ALL_DATASETS = (*DATASETS, "mnist_quick", "digits")
INPUTS = {"cifar10": 1024, "digits": 64}  # pixels of an image; 784 otherwise
INTRODUCTIONS = ("sequential", "half and half", "random", "continuous")
SEED, COUNT = "[0, 4294967296)", "[1, inf)"


def key(name: str) -> str:
    """A field as it is called in the configuration file, where most settings come from."""
    return name


@dataclass(frozen=True)
class Settings:
    """One run, everything resolved: no key here depends on another any more.

    Those with a flag come first in the list of flags; all others are keys of the configuration file and of
    --set.
    Raises: UsageError on construction, in one line that names the key, the value and what is allowed.
    """

    task_type: str = option("permutation", "how tasks differ", choices=TASK_TYPES)
    dataset_name: str = option("mnist", "images, CIFAR-10 in grey", choices=ALL_DATASETS)
    method: str = option("ta-agem", "learner and memory", choices=tuple(METHODS))
    seed: int = option(0, "of every random choice, else drawn, and recorded", within=SEED)
    num_tasks: int = option(10, "tasks", within=COUNT, flag=False)
    num_pools: int = option(10, "pools of the memory, one per label", within=COUNT, flag=False)
    memory_size_q: int = option(10, "clusters per pool (Q)", within=COUNT, flag=False)
    memory_size_p: int = option(3, "samples per cluster (P)", within=COUNT, flag=False)
    hidden_dim: int = option(200, "units of both hidden layers", within=COUNT, flag=False)
    batch_size: int = option(10, "images per batch and reference batch", within=COUNT, flag=False)
    learning_rate: float = option(1e-3, "of SGD", within="(0, inf)", flag=False)
    num_epochs: int | tuple[int, ...] = option(20, "passes: one number, or one per task", flag=False)
    task_introduction: str = option("sequential", "how tasks follow", choices=INTRODUCTIONS, flag=False)
    num_transition_epochs: int = option(10, "epochs in which two tasks are mixed (continuous)", flag=False)
    random_em: bool = option(True, "a balanced draw from the memory, else all of it", flag=False)
    sampling_rate: float = option(1.0, "samples of a batch that the memory is offered", flag=False)
    add_remove_randomly: bool = option(False, "samples join and leave clusters at random", flag=False)
    removal_function: str = option(
        "remove_oldest", "who leaves a full cluster", choices=tuple(REMOVALS), flag=False
    )
    memory_update: str = option(
        "epoch", "when the memory is offered samples", choices=("epoch", "batch"), flag=False
    )
    use_learning_rate_scheduler: bool = option(False, "the rate follows the loss", flag=False)
    testing_interval: int = option(
        0, "batches between evaluations; 0: after every epoch", within="[0, inf)", flag=False
    )
    only_one_epoch: bool = option(False, "a single pass over every task", flag=False)
    quick_test_mode: bool = option(False, "few images of every class", flag=False)
    engine: str = option(
        "auto", "fused is compiled, reference plain torch", choices=("auto", "fused", "reference"), flag=False
    )
    device: str = option("cpu", "of torch", decides=False, flag=False)
    verbose: bool = option(True, "fewer lines, no bar", decides=False)
    show_images: bool = option(False, "open the figures", decides=False, flag=False)
    save_model: bool = option(False, "keep the weights", decides=False, flag=False)
    use_mlflow: bool = option(True, "no MLflow run", decides=False)
    experiment_name: str = option("Unnamed", "MLflow experiment", decides=False, metavar="NAME")
    output_dir: str = option("test_results", "results folder", decides=False, metavar="DIR")
    data_dir: str | None = option(
        None, "folder of the data sets: DIR/MNIST or DIR/mnist, and so on", decides=False, metavar="DIR"
    )
    data_seed: int | None = option(
        None, "order of the images before tasks take their slices, else the files' own", within=SEED
    )

    def __post_init__(self) -> None:
        check(self, key)
        if not 0 < self.sampling_rate <= self.batch_size:
            raise UsageError(
                f"sampling_rate {self.sampling_rate}: above 0 and at most the batch size ({self.batch_size})"
            )
        if self.task_type == "class_split" and self.num_tasks != 5:
            raise UsageError(f"num_tasks {self.num_tasks}: class_split makes 5 tasks of the 10 classes")
        self._check_epochs()

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


FIELDS = tuple(field.name for field in fields(Settings))
