"""From YAML file and flags to `Settings`: which source wins, what each key means, what is refused."""

import copy
import logging
import reprlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clrepro.checkout import paper_folder
from clrepro.errors import DataError, UsageError
from clrepro.io.regular_files import read_regular_text
from ta_agem_repro.settings import FIELDS, TASK_TYPES, Settings

PAPER = paper_folder(__file__)
DEFAULT = "utils/default.yaml"
MERGE = "tag:yaml.org,2002:merge"  # "<<" may occur twice
SECOND = "config/default.yaml"  # as another part of the original's README has it
TASK_KEYS = {"num_tasks": "num_tasks", "num_pools": "num_pools", "clusters_per_pool": "memory_size_q"}
TASK_SPECIFIC = {
    "permutation": {"num_tasks": 10, "num_pools": 10, "clusters_per_pool": 10},
    "rotation": {"num_tasks": 10, "num_pools": 10, "clusters_per_pool": 10},
    "class_split": {"num_tasks": 5, "num_pools": 2, "clusters_per_pool": 50},
}
# Other names of keys, as READMEs and older files of the original have them.
ALIASES = {
    "testing_rate": "testing_interval",
    "TESTING_INTERVAL": "testing_interval",
    "dataset": "dataset_name",
}
LITE: Mapping[str, Any] = MappingProxyType({"batch_size": 50, "quick_test_mode": True})
LITE_TASKS = 2
MAX_TEXT, MAX_NODES = 1 << 20, 10_000  # of a configuration file
MAX_FILE = 4 * MAX_TEXT  # bytes; a character has up to four
MAX_BITS = 64  # of an integer in it
# What a method is, beyond its name.
METHODS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "paper": {"memory_update": "batch", "use_learning_rate_scheduler": True, "random_em": False},
    "agem-random": {"add_remove_randomly": True},
})  # fmt: skip
QUICK: Mapping[str, Any] = MappingProxyType({
    "dataset_name": "digits", "learning_rate": 0.05, "num_epochs": 20, "num_tasks": 5,
})  # fmt: skip

log = logging.getLogger(__name__)
_KINDS: Mapping[type, Callable[[Any], bool]] = {
    bool: lambda v: isinstance(v, bool),
    int: lambda v: isinstance(v, int) and not isinstance(v, bool),
    float: lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    str: lambda v: isinstance(v, str),
}


def resolve(
    given: Mapping[str, Any],
    *,
    config: str | None = None,
    changes: Iterable[str] = (),
    profile: str | None = None,
) -> Settings:
    """Returns the settings of a run: given flags > changes > --lite > profile > method > YAML > defaults.

    Args: given — flags that were on the command line, by setting or YAML name; config — path of the YAML
    file; changes — "KEY=VALUE" texts of --set; profile — "quick" or "full".
    Raises: UsageError in one line: missing or broken file, wrong type or value.
    """
    file = read_yaml(find_config(config))
    own, changed = _split(file, "the configuration file"), parse_changes(changes)
    explicit = _split(changed, "--set") | {k: v for k, v in given.items() if v is not None}
    task_specific = _task_specific(file, changed)
    values = {**own, **explicit}
    task_type = values.get("task_type", Settings.task_type)
    if task_type not in TASK_TYPES:
        raise UsageError(f"task_type {task_type!r}: one of {', '.join(TASK_TYPES)}")
    layers: list[Mapping[str, Any]] = [own, _for_tasks(task_specific[task_type])]
    layers.append(METHODS.get(str(values.get("method", Settings.method)), {}))
    if profile == "quick":
        layers.append(QUICK)
    if values.get("lite"):
        layers.append({**LITE, "num_tasks": 5 if task_type == "class_split" else LITE_TASKS})
    layers += [_explicit_tasks(changed, task_type), explicit]
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    merged.pop("lite", None)
    return _build({key: value for key, value in merged.items() if value is not None})


def _build(merged: dict[str, Any]) -> Settings:
    values = {key: _value(key, value) for key, value in merged.items()}
    values.setdefault("seed", secrets.randbits(31))
    n_tasks = int(values.get("num_tasks", Settings.num_tasks))
    values["num_epochs"] = _epochs(values.get("num_epochs", Settings.num_epochs), n_tasks)
    return Settings(**values)


def find_config(path: str | None) -> Path:
    """Returns the YAML file: the one named, else utils/default.yaml or config/default.yaml, here or in the
    paper.

    Raises: UsageError naming every place looked at.
    """
    if path is not None and path != DEFAULT:
        named = Path(path)
        places = [named, named.parent.parent / SECOND] if named.name == "default.yaml" else [named]
    else:
        places = [Path(DEFAULT), Path(SECOND), PAPER / DEFAULT]
    for place in places:
        if place.is_file():
            return place
    raise UsageError(f"no configuration file {', '.join(map(str, places))}; name one with --config")


def read_yaml(path: Path) -> dict[str, Any]:
    """Returns the table in a YAML file; plain values only, nothing in it is run.

    Raises: UsageError if it cannot be read or is no table.
    """
    try:
        content = plain_yaml(read_regular_text(path, MAX_FILE))
    except (DataError, ValueError) as problem:
        raise UsageError(f"{path}: not readable as YAML ({' '.join(str(problem).split())[:160]})") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"{path}: expected a table of settings, got a {type(content).__name__}")
    return content


def plain_yaml(text: str) -> Any:
    """Returns the value of a YAML text.

    Raises: ValueError in one line for what is no YAML, for a key that occurs twice in a table, and for what
    is larger with its anchors and merges written out than any configuration: a few lines of those stand for
    gigabytes.
    """
    import yaml

    if len(text) > MAX_TEXT:
        raise ValueError(f"{len(text)} characters; expected at most {MAX_TEXT}")
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            _check_size(node, {})
            _check_keys(node, set())
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except Exception as problem:  # its constructors stumble over damage with any kind of error
        raise ValueError(" ".join(str(problem).split())[:160] or type(problem).__name__) from None


def _check_size(node: Any, sizes: dict[int, int]) -> int:
    """The nodes of a YAML tree, those that are used again counted again.  Raises: ValueError if too many."""
    if node is None or isinstance(node.value, str):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = MAX_NODES  # what holds itself
        parts = (part for item in node.value for part in (item if isinstance(item, tuple) else (item,)))
        sizes[id(node)] = 1 + sum(_check_size(part, sizes) for part in parts)
    if sizes[id(node)] >= MAX_NODES:
        raise ValueError(f"stands for more than {MAX_NODES} values, or for itself")
    return sizes[id(node)]


def _check_keys(node: Any, seen: set[int]) -> None:
    """See that no table of a YAML tree has a key twice: YAML forbids it, and its reader takes the last.

    Raises: ValueError naming the key and its line.
    """
    if node is None or isinstance(node.value, str) or id(node) in seen:
        return
    seen.add(id(node))
    keys: set[tuple[str, str]] = set()
    for item in node.value:
        if not isinstance(item, tuple):
            _check_keys(item, seen)
            continue
        key, value = item
        _check_keys(key, seen)
        _check_keys(value, seen)
        if isinstance(key.value, str) and key.tag != MERGE:
            if (key.tag, key.value) in keys:
                line = key.start_mark.line + 1
                raise ValueError(f"the key {key.value!r} occurs twice, again in line {line}")
            keys.add((key.tag, key.value))


def parse_changes(changes: Iterable[str]) -> dict[str, Any]:
    """Returns the keys and YAML values of "KEY=VALUE" texts; a dotted key reaches into task_specific.

    Raises: UsageError for a text without "=" or with a value that is no YAML.
    """
    out: dict[str, Any] = {}
    for text in changes:
        key, mark, value = text.partition("=")
        try:
            parsed = plain_yaml(value)
        except ValueError:
            mark = ""
        if not mark or not key.strip():
            raise UsageError(f"--set {text}: expected KEY=VALUE, e.g. --set num_epochs=5")
        out[key.strip()] = parsed
    return out


def _split(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings among the keys of a file; a warning for those that mean nothing."""
    out = {}
    for key, value in content.items():
        name = ALIASES.get(key, key)
        if name in FIELDS or name == "lite":
            out[name] = value
        elif name != "task_specific" and not name.startswith("task_specific."):
            log.warning("%s: unknown key %r, ignored", where, key)
    return out


def _task_specific(file: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    table = copy.deepcopy(TASK_SPECIFIC)
    for source in (file, changes):
        given = source.get("task_specific") or {}
        if not isinstance(given, dict):
            raise UsageError(
                f"task_specific {reprlib.repr(given)}: a table under one of {', '.join(TASK_TYPES)}"
            )
        for task_type, keys in given.items():
            if task_type not in table or not isinstance(keys, dict):
                raise UsageError(f"task_specific.{task_type}: a table under one of {', '.join(TASK_TYPES)}")
            table[task_type].update(keys)
    return table


def _for_tasks(keys: Mapping[str, Any]) -> dict[str, Any]:
    for key in keys:
        if key not in TASK_KEYS:
            log.warning("task_specific: unknown key %r, ignored", key)
    return {TASK_KEYS[key]: value for key, value in keys.items() if key in TASK_KEYS}


def _explicit_tasks(changes: Mapping[str, Any], task_type: str) -> dict[str, Any]:
    """Settings named on the command line as task_specific.TYPE.KEY: those win over --lite."""
    out = {}
    for name, value in changes.items():
        parts = name.split(".")
        if parts[0] != "task_specific" or len(parts) == 1:
            continue
        if len(parts) != 3 or parts[1] not in TASK_TYPES or parts[2] not in TASK_KEYS:
            raise UsageError(
                f"--set {name}: expected task_specific.TYPE.KEY with TYPE one of {', '.join(TASK_TYPES)} and "
                f"KEY one of {', '.join(TASK_KEYS)}"
            )
        if parts[1] == task_type:
            out[TASK_KEYS[parts[2]]] = value
    return out


def _value(key: str, value: Any) -> Any:
    """The value in its setting's type.  Raises: UsageError for another type."""
    if key in ("num_epochs", "data_dir"):
        return value
    kind = int if key == "data_seed" else type(getattr(Settings, key))
    if not _KINDS[kind](value):
        raise UsageError(
            f"{key} {reprlib.repr(value)}: expected {'true or false' if kind is bool else kind.__name__}"
        )
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise UsageError(f"{key}: a number of {value.bit_length()} bits; expected at most {MAX_BITS}")
    return float(value) if kind is float else value


def _epochs(value: Any, n_tasks: int) -> int | tuple[int, ...]:
    """num_epochs as one number or one per task, from a number, a list or {task: number}."""
    if isinstance(value, dict) and set(value) == set(range(n_tasks)):
        value = [value[task] for task in range(n_tasks)]
    given = value if isinstance(value, list | tuple) else [value]
    if not given or not all(_KINDS[int](n) for n in given):
        raise UsageError(
            f"num_epochs {reprlib.repr(value)}: a number, a list of one per task, or a table of 0 to "
            f"{n_tasks - 1}"
        )
    return int(value) if isinstance(value, int) else tuple(given)
