"""Settings of a program: a frozen dataclass whose fields say what they mean and what is allowed.

    @dataclass(frozen=True)
    class Settings:
        lr: float = option(0.1, "learning rate of SGD", within="(0, inf)")
        optimizer: str = option("sgd", "what takes the steps", choices=("sgd", "adam"))

        def __post_init__(self) -> None:
            check(self)

From the fields follow the flags (`add_flags`), the checks (`check`), the help and what decides a run's
numbers (`fingerprint`), so that none of them is written down a second time.
"""

import argparse
import hashlib
import math
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args, get_type_hints

from clrepro.arguments import finite_float, integer
from clrepro.errors import UsageError

Spell = Callable[[str], str]


def underscored(name: str) -> str:
    """The flag of a field: --batch_size."""
    return f"--{name}"


def dashed(name: str) -> str:
    """The flag of a field: --batch-size."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`; an end may belong to it or not, infinity never does."""

    low: float
    high: float
    with_low: bool
    with_high: bool

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Returns the interval of a text as in mathematics: "[0, 1)" is 0 <= x < 1.  Raises: ValueError."""
        low, comma, high = text[1:-1].partition(",")
        if not comma or text[0] not in "[(" or text[-1] not in "])":
            raise ValueError(f"{text!r} is no interval such as '[0, 1)' or '(0, inf)'")
        return cls(float(low), float(high), text[0] == "[", text[-1] == "]")

    def __contains__(self, value: float) -> bool:
        low = self.low <= value if self.with_low else self.low < value
        high = value <= self.high if self.with_high else value < self.high
        return bool(low and high and _is_finite(value))

    def __str__(self) -> str:
        low, high = f"{self.low:.12g}", f"{self.high:.12g}"
        if math.isinf(self.low) and math.isinf(self.high):
            return "any finite number"
        if math.isinf(self.high):
            return f"{low} or more" if self.with_low else f"a number above {low}"
        if math.isinf(self.low):
            return f"{high} or less" if self.with_high else f"below {high}"
        if not self.with_low:
            return f"above {low}, {'at most' if self.with_high else 'below'} {high}"
        return f"from {low} to {high}" if self.with_high else f"from {low} to below {high}"


@dataclass(frozen=True)
class Option:
    """What a field of settings means and allows; see `option`."""

    help: str
    within: Interval | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    decides: bool = True
    flag: bool = True
    metavar: str | None = None
    whole: bool = False
    bare: bool = False


def option(
    default: Any,
    help: str,
    *,
    within: str | None = None,
    choices: tuple[str, ...] = (),
    parse: Callable[[str], Any] | None = None,
    decides: bool = True,
    flag: bool = True,
    metavar: str | None = None,
    whole: bool = False,
    bare: bool = False,
) -> Any:
    """A field of settings.

    Args: help — a few words without a full stop; within — allowed numbers as an interval, "[1, inf)"; a float
        must be finite in any case; choices — allowed texts; parse — text of the command line to the value,
        where the type does not say it; decides — whether the result depends on it; flag — whether it has one;
        whole — a float of the original that counts something; bare — the flag of a truth may stand without
        its word.
    Raises: ValueError for what is no interval.
    """
    interval = None if within is None else Interval.parse(within)
    return field(
        default=default,
        metadata={"option": Option(help, interval, choices, parse, decides, flag, metavar, whole, bare)},
    )


def options(kind: Any) -> dict[str, Option]:
    """Returns the options of a settings class or object by field, in their order."""
    return {each.name: each.metadata["option"] for each in fields(kind) if "option" in each.metadata}


def check(settings: Any, spell: Spell = underscored) -> None:
    """Look at every field; call it from `__post_init__`.

    Args: spell — field to flag, for the message.
    Raises: UsageError in one line: the flag, the value and what is allowed.
    """
    for name, one in options(settings).items():
        value = getattr(settings, name)
        if value is None:
            continue
        if one.choices and value not in one.choices:
            raise UsageError(f"{spell(name)} {value}: one of {', '.join(filter(None, one.choices))}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and one.whole and not float(value).is_integer():  # neither are nan and inf
            raise UsageError(f"{spell(name)} {value}: must be a whole number")
        if number and not _is_finite(value):
            raise UsageError(f"{spell(name)} {value}: must be a finite number")
        if number and one.within is not None and value not in one.within:
            raise UsageError(f"{spell(name)} {value}: must be {one.within}")


def add_flags(
    parser: argparse.ArgumentParser,
    defaults: Any,
    *,
    spell: Spell = underscored,
    unset: bool = False,
    leave_out: Container[str] = (),
) -> None:
    """Add a flag for every option of `defaults`, in the order of the fields.

    Args: defaults — a settings class or object; spell — field to flag; unset — a flag that was not given is
        None, so that a file or profile can speak; leave_out — fields whose flags are added by hand.
    A truth is a bare flag that turns the default round; with `parse` it takes a word, yes or no; with
    `parse` and `bare` it may take one.
    """
    types = get_type_hints(defaults if isinstance(defaults, type) else type(defaults))
    for name, one in options(defaults).items():
        if not one.flag or name in leave_out:
            continue
        default, words = getattr(defaults, name), one.help
        if one.choices:
            words = f"{words}: {', '.join(filter(None, one.choices))}"
        more: dict[str, Any] = {"dest": name, "default": None if unset else default}
        kind = _kind(types[name])
        if kind is bool and one.bare:
            more |= {"type": one.parse, "nargs": "?", "const": not default, "metavar": one.metavar}
            parser.add_argument(spell(name), help=words, **more)
            continue
        if kind is bool and one.parse is None:
            more["action"] = "store_false" if default else "store_true"
            parser.add_argument(spell(name), help=words, **more)
            continue
        if kind is bool:
            default = "yes" if default else "no"
        more["type"] = one.parse or {int: integer, float: finite_float}.get(kind, str)
        more["metavar"] = one.metavar
        shown = "none" if default in ("", None) else default
        parser.add_argument(spell(name), help=f"{words} (default: {shown})".replace("%", "%%"), **more)


def given(kind: Any, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the parsed flags that are fields of the settings class and not None."""
    known = {each.name for each in fields(kind)}
    return {name: value for name, value in flags.items() if name in known and value is not None}


def keywords(function: Callable[..., Any], settings: Any, **more: Any) -> dict[str, Any]:
    """Returns the arguments that `function` takes by name, each from the field of settings of that name.

    Args: more — arguments that no field holds; they win.
    """
    import inspect

    each = inspect.signature(function).parameters.values()
    names = [one.name for one in each if one.kind is one.KEYWORD_ONLY]
    own = {name: getattr(settings, name) for name in names if hasattr(settings, name)}
    return own | {name: value for name, value in more.items() if name in names}


def fingerprint(settings: Any) -> dict[str, Any]:
    """Returns the fields that decide the numbers, for the record."""
    idle = {name for name, one in options(settings).items() if not one.decides}
    return {name: value for name, value in asdict(settings).items() if name not in idle}


def digest(values: Mapping[str, Any], length: int = 16) -> str:
    """Returns `length` hexadecimal digits of the sha256 of plain values: the end of a run's folder name."""
    from clrepro.records import canonical_json

    return hashlib.sha256(canonical_json(dict(values)).encode()).hexdigest()[:length]


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)  # an integer may be too large for a float


def _kind(hint: Any) -> Any:
    """The type of `int | None` is int."""
    return next((each for each in get_args(hint) if each is not type(None)), hint)
