"""Everything a run is told, checked once: the original's 23 flags in its order, then ours."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from clrepro.errors import UsageError
from clrepro.settings import check, given, option
from mer_repro.methods import METHODS

MODELS = tuple(METHODS)
CONTRACT = 23  # the first fields, printed and saved in this order
COUNT, OR_NONE = "[1, 2147483648)", "[0, 2147483648)"  # beyond, products of counts overflow
RATE = "[0, inf)"


def is_yes(text: str) -> bool:
    """Whether a text is "yes": to the original anything else means no."""
    return text == "yes"


@dataclass(frozen=True)
class Settings:
    """One run.  For `taskinput`, n_layers is already the flag minus one (`from_flags`).

    Raises: UsageError on construction: an unknown model, a number out of range, gem without memory.
    Source: contract 2.2; `engine` to `init_from` and `own`, the options of single methods, are ours.
    """

    model: str = option("single", f"learner: {', '.join(MODELS)}")
    n_hiddens: int = option(100, "units per hidden layer", within="[1, 1000000)")
    n_layers: int = option(
        2, "hidden layers (taskinput counts its input layer among them)", within="[-1, 1000)"
    )
    finetune: bool = option(
        True, "independent: start each network from the previous task's (yes/no)", parse=is_yes
    )
    n_epochs: int = option(1, "passes over each task's examples", within=COUNT)
    batch_size: int = option(1, "examples handed over at once", within=COUNT)
    lr: float = option(1e-3, "SGD learning rate, alpha", within=RATE)
    n_memories: int = option(0, "gem, ewc: examples remembered per task", within=OR_NONE)
    memory_strength: float = option(0, "gem: margin; ewc: weight of the penalty", within=RATE)
    memories: int = option(5120, "er*, mer*, derpp: size of the reservoir", within=COUNT)
    gamma: float = option(
        1.0, "meralg1: rate across batches; meralg6, meralg7: Reptile rate", within=RATE
    )
    batches_per_example: float = option(
        1, "meralg1, meralg6: batches per incoming example", within=COUNT, whole=True
    )
    s: float = option(1, "meralg7: loss factor of the incoming example", within=RATE)
    replay_batch_size: float = option(
        20, "er*, mer*, derpp: examples replayed per batch", within=OR_NONE, whole=True
    )
    beta: float = option(1.0, "meralg1: rate within a batch", within=RATE)
    cuda: bool = option(False, "use the GPU (yes/no)", parse=is_yes)
    seed: int = option(0, "of every random choice", within="[0, 4294967296)")  # as numpy's generators
    log_every: int = option(100, "evaluate every so many calls, and whenever the task changes", within=COUNT)
    save_path: str = option("results/", "folder of the result files")
    data_path: str = option("data/", "folder of the task file")
    data_file: str = option("mnist_permutations.pt", "task file, made by get_data.py")
    samples_per_task: int = option(
        -1, "examples drawn per task; all if 0 or less", within="(-inf, 2147483648)"
    )
    shuffle_tasks: bool = option(False, "present the tasks in random order (yes/no)", parse=is_yes)
    engine: str = option(
        "auto",
        "fused is compiled, reference plain torch with the original's draws, auto fused without --cuda yes",
        choices=("auto", "reference", "fused"),
    )  # fmt: skip
    sampler: str = option(
        "auto", "replay draws, legacy being the original's generator number by number",
        choices=("auto", "fast", "legacy"),
    )  # fmt: skip
    eval_policy: str = option(
        "full", "every row, rows that close a task, or only the cells that the metrics read",
        choices=("full", "tasks", "metrics"),
    )  # fmt: skip
    legacy_eval: bool = option(
        False, "leave the last test example out of the count, as the original does (yes/no)", parse=is_yes
    )
    checkpoint_dir: str = option(
        "", "save between tasks, each run in its own sub-folder, and continue what was interrupted"
    )
    init_from: str = option(
        "", "start from a saved model: a .pt of main.py (the original's, too) or a saved state_dict()"
    )
    own: Any = None  # the options of a method that declares some beside its class

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UsageError(f"--model {self.model}: not a learner; one of {', '.join(MODELS)}")
        check(self)
        if self.n_layers < (-1 if self.model == "taskinput" else 0):
            raise UsageError(f"--n_layers {self.n_layers}: must be 0 or more")
        if self.model == "gem" and self.n_memories == 0:
            raise UsageError("--n_memories 0: gem remembers examples of every task; give at least 1")
        if self.engine == "fused" and self.cuda:
            raise UsageError(
                "--engine fused runs on the CPU; leave out --cuda yes, or take --engine reference"
            )
        if "cifar100" in self.data_file:
            raise UsageError(
                f"--data_file {self.data_file}: the CIFAR-100 network is not part of these experiments"
            )

    @classmethod
    def from_flags(cls, flags: dict[str, Any]) -> "Settings":
        """Settings of a command line; `taskinput` counts its input layer among the given --n_layers."""
        if flags.get("model") == "taskinput":
            flags = {**flags, "n_layers": flags["n_layers"] - 1}
            if flags["n_layers"] < -1:
                raise UsageError(f"--n_layers {flags['n_layers'] + 1}: must be 0 or more")
        return cls.from_mapping(flags)

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> "Settings":
        """Settings from values by name, those of the method's own options among them; others are left out."""
        kind = getattr(METHODS.get(values.get("model", "")), "Options", None)
        own = None if kind is None else kind(**given(kind, values))
        return cls(**given(cls, values), own=own)

    @classmethod
    def from_namespace(cls, args: Any, **override: Any) -> "Settings":
        """Settings from any object with some of these attributes; yes/no texts are understood for the
        booleans.
        """
        values = {name: getattr(args, name) for name in dir(args) if not name.startswith("_")} | override
        for field in fields(cls):
            if field.type is bool and isinstance(values.get(field.name), str):
                values[field.name] = is_yes(values[field.name])
        return cls.from_mapping(values)

    def contract(self) -> dict[str, Any]:
        """Returns the original's 23 arguments in its order, as it prints and saves them: cuda and finetune as
        booleans, shuffle_tasks as the word.
        """
        given = dict(list(self.values().items())[:CONTRACT])
        return given | {"shuffle_tasks": "yes" if self.shuffle_tasks else "no"}

    def values(self) -> dict[str, Any]:
        """Returns all settings by name, the method's own options last."""
        values = asdict(self)
        return values | (values.pop("own") or {})
