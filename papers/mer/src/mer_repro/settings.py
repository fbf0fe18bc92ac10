"""Everything a run is told, checked once: the original's 23 flags in its order, then ours."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from clrepro.errors import UsageError

MODELS = (
    "online", "independent", "taskinput", "ewc", "gem", "eralg4", "eralg5", "meralg1", "meralg6", "meralg7",
)  # fmt: skip
CONTRACT = 23  # the first fields, printed and saved in this order
CHOICES = {
    "engine": ("auto", "reference", "fused"),
    "sampler": ("auto", "fast", "legacy"),
    "eval_policy": ("full", "tasks", "metrics"),
}
AT_LEAST = {
    "n_hiddens": 1, "n_epochs": 1, "batch_size": 1, "n_memories": 0, "memories": 1, "batches_per_example": 1,
    "replay_batch_size": 0, "seed": 0, "log_every": 1,
}  # fmt: skip
BELOW = dict.fromkeys([*AT_LEAST, "samples_per_task"], 2**31) | {  # beyond, products of counts overflow
    "n_hiddens": 10**6,
    "n_layers": 1000,
    "seed": 2**32,  # numpy's generators, which the original seeds too, take no more
}


@dataclass(frozen=True)
class Settings:
    """One run.  For `taskinput`, n_layers is already the flag minus one (`from_flags`).

    Raises: UsageError on construction: an unknown model, a number out of range, gem without memory.
    Source: contract 2.2; `engine` to `init_from` are this suite's.
    """

    model: str = "single"
    n_hiddens: int = 100
    n_layers: int = 2
    finetune: bool = True
    n_epochs: int = 1
    batch_size: int = 1
    lr: float = 1e-3
    n_memories: int = 0
    memory_strength: float = 0  # whole: the original prints a default as it is written there
    memories: int = 5120
    gamma: float = 1.0
    batches_per_example: float = 1
    s: float = 1
    replay_batch_size: float = 20
    beta: float = 1.0
    cuda: bool = False
    seed: int = 0
    log_every: int = 100
    save_path: str = "results/"
    data_path: str = "data/"
    data_file: str = "mnist_permutations.pt"
    samples_per_task: int = -1
    shuffle_tasks: bool = False
    engine: str = "auto"
    sampler: str = "auto"
    eval_policy: str = "full"
    legacy_eval: bool = False
    checkpoint_dir: str = ""
    init_from: str = ""

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UsageError(f"--model {self.model}: not a learner; one of {', '.join(MODELS)}")
        for name, least in AT_LEAST.items():
            if getattr(self, name) < least:
                raise UsageError(f"--{name} {getattr(self, name)}: must be {least} or more")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"--{name} {getattr(self, name)}: one of {', '.join(allowed)}")
        for name in ("batches_per_example", "replay_batch_size"):
            if not float(getattr(self, name)).is_integer():  # neither are nan and inf
                raise UsageError(f"--{name} {getattr(self, name)}: must be a whole number")
        for name, bound in BELOW.items():
            if getattr(self, name) >= bound:
                raise UsageError(f"--{name} {getattr(self, name)}: must be below {bound}")
        for name in ("lr", "memory_strength", "gamma", "beta", "s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"--{name} {getattr(self, name)}: must be a finite number, 0 or more")
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
        return cls(**flags)

    @classmethod
    def from_namespace(cls, args: Any, **override: Any) -> "Settings":
        """Settings from any object with some of these attributes; yes/no texts are understood for the
        booleans.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            value = override.get(field.name, getattr(args, field.name, field.default))
            values[field.name] = value == "yes" if field.type is bool and isinstance(value, str) else value
        return cls(**values)

    def contract(self) -> dict[str, Any]:
        """Returns the original's 23 arguments in its order, as it prints and saves them: cuda and finetune as
        booleans, shuffle_tasks as the word.
        """
        given = dict(list(asdict(self).items())[:CONTRACT])
        return given | {"shuffle_tasks": "yes" if self.shuffle_tasks else "no"}

    @property
    def n_batches(self) -> int:
        """--batches_per_example as the integer it is used as."""
        return int(self.batches_per_example)

    @property
    def n_replay(self) -> int:
        """--replay_batch_size as the integer it is used as."""
        return int(self.replay_batch_size)
