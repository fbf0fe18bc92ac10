"""Numbers of items, as calls and saved states give them: whole and not negative, or refused."""

import operator
from typing import Any


def checked_count(value: Any, what: str) -> int:
    """Returns the number.  Args: what — names it in the message.

    Raises: ValueError unless it is a whole number of 0 or more.
    """
    try:
        count = operator.index(value)
    except TypeError:
        raise ValueError(f"{what} {value!r}: a whole number") from None
    if count < 0:
        raise ValueError(f"{what} {count}: 0 or more")
    return count
