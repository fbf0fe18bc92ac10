"""Texts as a terminal may show them: what others wrote cannot steer it."""

import unicodedata
from collections.abc import Iterable
from typing import Any


def visible(text: str, keep: str = "") -> str:
    """`text` as a terminal may show it: control characters, those that turn the direction of writing and
    halves of surrogate pairs become escapes such as "\\x1b" and "\\u202e".

    They can come from names of files, metrics and methods.  Args: keep — characters that stay, e.g. "\\n".
    """
    plain = text
    for each in keep:
        plain = plain.replace(each, "")
    if plain.isprintable():
        return text
    return "".join(each if each in keep or _is_harmless(each) else _escaped(each) for each in text)


class Visible:
    """A text stream that writes what `visible` makes of a text, and is `unfiltered` in all else."""

    def __init__(self, stream: Any) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Write `text`.  Returns: its length."""
        self.unfiltered.write(visible(text, keep="\n\t\r"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the texts one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


def _is_harmless(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
