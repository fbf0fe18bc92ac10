"""One declaration of a field gives its flag, its check, its help and its place in the record."""

import math
from dataclasses import dataclass
from typing import Any

import pytest

from clrepro.arguments import true_false, yes_no
from clrepro.errors import UsageError
from clrepro.program import Parser
from clrepro.settings import (
    Interval,
    add_flags,
    check,
    dashed,
    digest,
    fingerprint,
    given,
    keywords,
    option,
    options,
)


@dataclass(frozen=True)
class Settings:
    learning_rate: float = option(0.1, "rate of SGD", within="(0, inf)")
    dropout: float = option(0.0, "share dropped", within="[0, 1)")
    batch: int = option(10, "examples at once", within="[1, inf)")
    copies: float = option(1, "how many", within="[1, inf)", whole=True)
    method: str = option("sgd", "what learns", choices=("sgd", "adam"))
    deep: bool = option(False, "more layers")
    shuffled: bool = option(True, "in random order", parse=yes_no)
    out: str = option("results/", "folder", decides=False)
    floor: float | None = option(None, "lowest rate", within="[0, inf)")
    note: str = "no option"

    def __post_init__(self) -> None:
        check(self, dashed)


def parse(words: str, **how: Any) -> dict[str, Any]:
    parser = Parser(prog="x")
    add_flags(parser, Settings, **{"spell": dashed, **how})
    return vars(parser.parse_args(words.split()))


@pytest.mark.parametrize(
    ("text", "inside", "outside", "words"),
    [
        ("[0, 1)", [0, 0.5], [-0.1, 1, math.nan], "from 0 to below 1"),
        ("(0, 1]", [0.5, 1], [0, 1.1, math.nan], "above 0, at most 1"),
        ("[1, inf)", [1, 1e300], [0, math.inf, math.nan], "1 or more"),
        ("(0, inf)", [1e-300], [0, -1, math.inf], "a number above 0"),
        ("(-inf, inf)", [-5, 5], [math.inf, -math.inf, math.nan], "any finite number"),
        ("(-inf, 7)", [-1e9, 6], [7, -math.inf], "below 7"),
        ("[2, 4]", [2, 4], [1, 5], "from 2 to 4"),
    ],
)
def test_intervals_are_those_of_mathematics(
    text: str, inside: list[float], outside: list[float], words: str
) -> None:
    interval = Interval.parse(text)
    assert all(x in interval for x in inside)
    assert not any(x in interval for x in outside)
    assert str(interval) == words


@pytest.mark.parametrize("text", ["0, 1", "[0; 1]", "[a, b]", "[1]"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no interval|could not convert"):
        Interval.parse(text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.0}, "--learning-rate 0.0: must be a number above 0"),
        ({"learning_rate": math.nan}, "--learning-rate nan: must be a finite number"),
        ({"dropout": 1.0}, "--dropout 1.0: must be from 0 to below 1"),
        ({"batch": 0}, "--batch 0: must be 1 or more"),
        ({"copies": 1.5}, "--copies 1.5: must be a whole number"),
        ({"copies": math.inf}, "--copies inf: must be a whole number"),
        ({"method": "rms"}, "--method rms: one of sgd, adam"),
        ({"floor": -1.0}, "--floor -1.0: must be 0 or more"),
    ],
)
def test_a_wrong_value_is_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as problem:
        Settings(**values)
    assert str(problem.value) == message


def test_flags_are_the_fields_in_their_order_with_their_defaults() -> None:
    found = parse("")
    assert list(found) == list(options(Settings))
    assert found == {name: getattr(Settings(), name) for name in options(Settings)}


def test_flags_have_the_types_of_their_fields() -> None:
    found = parse("--learning-rate 1 --batch 3 --method adam --deep --floor 0.5 --copies 2")
    assert (found["learning_rate"], found["batch"], found["method"], found["deep"]) == (1.0, 3, "adam", True)
    assert isinstance(found["learning_rate"], float)
    assert (found["floor"], found["copies"]) == (0.5, 2.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--batch 1.5", "--batch: '1.5' is not an integer"),
        ("--dropout much", "'much' is not a number"),
        ("--dropout nan", "'nan' is not a finite number"),
    ],
)
def test_a_text_of_another_type_is_one_line(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(words)


def test_a_flag_that_was_not_given_may_be_none() -> None:
    found = parse("--batch 4", unset=True)
    assert given(Settings, found | {"config": "x.yaml"}) == {"batch": 4}
    assert parse("", unset=True)["deep"] is None


def test_truths_may_be_written_yes_and_no() -> None:
    assert parse("--shuffled yes")["shuffled"] is True
    assert parse("--shuffled no")["shuffled"] is False
    with pytest.raises(UsageError, match="'maybe' is not one of yes, no"):
        parse("--shuffled maybe")


def test_help_names_choices_and_defaults() -> None:
    parser = Parser(prog="x")
    add_flags(parser, Settings, leave_out=("deep",))
    text = " ".join(parser.format_help().split())
    assert "what learns: sgd, adam (default: sgd)" in text
    assert "lowest rate (default: none)" in text
    assert "in random order (default: yes)" in text
    assert "--deep" not in text


def test_a_function_takes_the_fields_that_it_names() -> None:
    def method(network: Any, *, learning_rate: float, batch: int = 1, seed: int = 0) -> None: ...

    assert keywords(method, Settings(), seed=4, other=5) == {"learning_rate": 0.1, "batch": 10, "seed": 4}


def test_a_record_holds_what_decides() -> None:
    assert "out" not in fingerprint(Settings())
    assert fingerprint(Settings())["batch"] == 10
    one, other = digest(fingerprint(Settings(out="a"))), digest(fingerprint(Settings(out="b")))
    assert one == other != digest(fingerprint(Settings(batch=2)))
    assert len(one) == 16


def test_an_integer_may_be_larger_than_any_float() -> None:
    assert Settings(batch=10**400).batch == 10**400
    with pytest.raises(UsageError, match="must be 1 or more"):
        Settings(batch=-(10**400))


def test_a_truth_may_take_a_word_or_stand_bare() -> None:
    @dataclass(frozen=True)
    class Truths:
        curved: bool = option(False, "the curvature", parse=true_false, metavar="True|False", bare=True)
        flat: bool = option(True, "the plain", parse=true_false, metavar="True|False", bare=True)

    parser = Parser(prog="x")
    add_flags(parser, Truths, spell=dashed)
    found = [parser.parse_args(words.split()).curved for words in ("", "--curved", "--curved False")]
    assert found == [False, True, False]
    with pytest.raises(UsageError, match="not one of true, false"):
        parser.parse_args(["--curved", "maybe"])
    assert not parser.parse_args(["--flat"]).flat
    with pytest.raises(UsageError, match="expected one argument"):
        parse("--shuffled")


def test_an_empty_choice_is_not_listed() -> None:
    @dataclass(frozen=True)
    class Searches:
        grid: str = option("", "what is searched", choices=("", "lr", "tag"))

        def __post_init__(self) -> None:
            check(self, dashed)

    assert Searches().grid == ""
    with pytest.raises(UsageError, match=r"^--grid x: one of lr, tag$"):
        Searches("x")
