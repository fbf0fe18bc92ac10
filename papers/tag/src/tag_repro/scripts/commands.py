"""What the shell scripts run: method by method, the flags that the authors' scripts use.  Spec 2.3."""

from collections.abc import Iterator
from dataclasses import dataclass

TASKS = {"cifar": ("cifar100", 20, 10), "mini_imagenet": ("mini_imagenet", 20, 10), "cub": ("cub", 20, 10),
         "5data": ("5data", 5, 64)}  # dataset, tasks, batch size  # fmt: skip
COLUMN = {name: number for number, name in enumerate(TASKS)}
RATES = {
    "sgd": (0.1, 0.05, 0.01, 0.1), "rms": (0.005, 0.001, 0.0001, 0.001),
    "adam": (0.005, 0.001, 0.0001, 0.001), "adagrad": (0.01, 0.01, 0.0005, 0.005),
    "tag-rms": (0.00025, 0.0001, 0.000025, 0.0005),
    "tag-adagrad": (0.005, 0.001, 0.0005, 0.005), "tag-adam": (0.0005, 0.00025, 0.0001, 0.0005),
    "ewc": (0.1, 0.05, 0.01, 0.1), "agem": (0.1, 0.1, 0.01, 0.1), "er": (0.1, 0.05, 0.01, 0.1),
    "stable": (0.1, 0.1, 0.05, 0.1), "multi-task": (0.01, 0.01, 0.01, 0.05),
}  # fmt: skip
SHARPNESS = (5, 5, 5, 7)
STRENGTH = (1, 1, 1, 100)  # of EWC
STABLE_GAMMA, STABLE_DROPOUT = (0.9, 0.9, 0.9, 0.7), (0.1, 0, 0, 0)
NAIVE = ("sgd", "rms", "tag-rms", "adagrad", "adam", "tag-adagrad", "tag-adam")
BASELINES = ("sgd", "ewc", "agem", "er", "stable", "rms", "tag-rms", "multi-task")
HYBRID = ("sgd", "ewc", "rms-ewc", "tag-ewc", "agem", "rms-agem", "tag-agem", "er", "rms-er", "tag-er", "rms",
          "tag-rms")  # fmt: skip
SEARCHES = {"ewc": "ewc", "stable": "stable"}  # which grid a method's search is over, else its rate
REGIMES = {
    "plastic": ("--lr", "0.01", "--gamma", "1.0", "--dropout", "0"),
    "stable": ("--lr", "0.1", "--dropout", "0.25"),
}


@dataclass(frozen=True)
class Line:
    """One method of a script: argv[0] is a program in the paper's folder, seeds and folder not among the
    flags.
    """

    setting: str
    method: str
    argv: tuple[str, ...]


def tag_line(data: str, method: str, epochs: int = 1, memory: int = 1, *, search: bool = False) -> Line:
    """Returns the line of the TAG scripts for a method on "cifar", "mini_imagenet", "cub" or "5data".

    Args: method — as in `NAIVE`, `BASELINES` and `HYBRID`; memory — examples per class; search — its grid.
    """
    at, (dataset, tasks, batch) = COLUMN[data], TASKS[data]
    optimizer, _, wrapper = method.partition("-")
    rate = method if method in RATES else {"rms": "rms", "tag": "tag-rms"}[optimizer]
    flags = ["--dataset", dataset, "--tasks", str(tasks), "--epochs-per-task", str(epochs)]
    flags += ["--batch-size", str(batch), "--lr", f"{RATES[rate][at]:g}"]
    gamma, dropout = (STABLE_GAMMA[at], STABLE_DROPOUT[at]) if method == "stable" else (1.0, 0)
    flags += ["--gamma", f"{gamma:g}", "--dropout", f"{dropout:g}"]
    if optimizer == "tag":
        flags += ["--tag-opt", wrapper if wrapper in ("rms", "adagrad", "adam") else "rms"]
        flags += ["--b", str(SHARPNESS[at])]
        wrapper = "" if wrapper in ("rms", "adagrad", "adam") else wrapper
    name = {"sgd": "", "stable": "", "multi-task": ""}.get(
        method, "-".join(filter(None, (optimizer, wrapper)))
    )
    if name:
        flags += ["--opt", name]
    if "ewc" in method:
        flags += ["--lambd", str(STRENGTH[at])]
    if "agem" in method or "er" in method.split("-"):
        flags += ["--mem-size", str(memory)]
    if method == "multi-task":
        flags += ["--multi", "1"]
    if search:
        kind = "tag" if optimizer == "tag" else SEARCHES.get(method, "lr")
        flags += ["--hyp-gs", kind]
    label = f"{method}-mem{memory}" if memory > 1 else method
    return Line(f"{dataset}/{epochs}-epoch", label, ("main.py", *flags))


def stable_line(data: str, regime: str, tasks: int, epochs: int, *rest: str) -> Line:
    """Returns a line of Stable SGD's scripts; rest — flags that differ from line to line."""
    flags = ["--dataset", data, "--tasks", str(tasks), "--epochs-per-task", str(epochs)]
    return Line(f"{data}/{tasks}-tasks", regime, ("stable_sgd/main.py", *flags, *REGIMES[regime], *rest))


def experiment_1() -> Iterator[Line]:
    """Five tasks, five epochs each, with eigenvalues."""
    for data in ("rot-mnist", "perm-mnist"):
        common = ("--hiddens", "100", "--compute-eigenspectrum", "True")
        yield stable_line(data, "plastic", 5, 5, "--batch-size", "64", *common)
        yield stable_line(data, "stable", 5, 5, "--gamma", "0.4", "--batch-size", "16", *common)


def experiment_2() -> Iterator[Line]:
    """Twenty tasks, one epoch each; the stable lines as the authors corrected them in public threads."""
    for data, stable in (
        ("rot-mnist", ("--gamma", "0.55", "--batch-size", "64")),
        ("perm-mnist", ("--gamma", "0.8", "--batch-size", "10")),
        ("cifar100", ("--lr", "0.15", "--gamma", "0.85", "--dropout", "0.1", "--batch-size", "10")),
    ):
        yield stable_line(data, "plastic", 20, 1, "--hiddens", "256", "--batch-size", "10")
        yield stable_line(data, "stable", 20, 1, "--hiddens", "256", *stable)


def naive(data: str) -> Iterator[Line]:
    """Optimizers without and with TAG."""
    return (tag_line(data, method) for method in NAIVE)


def baselines(data: str, epochs: int) -> Iterator[Line]:
    """TAG against other methods."""
    return (tag_line(data, method, epochs) for method in BASELINES)


def hybrid(data: str) -> Iterator[Line]:
    """Other methods' gradients with TAG's steps."""
    return (tag_line(data, method) for method in HYBRID)


def replay(data: str) -> Iterator[Line]:
    """Growing memories against TAG, which has none."""
    for memory in (1, 5, 10):
        for method in ("agem", "er"):
            yield tag_line(data, method, memory=memory)
    yield tag_line(data, "tag-rms")


def grid_search(data: str) -> Iterator[Line]:
    """Every method's grid."""
    methods = dict.fromkeys((*NAIVE, *BASELINES))
    return (tag_line(data, method, search=True) for method in methods if method != "multi-task")
