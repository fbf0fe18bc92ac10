"""Following a pickle's operations without doing them: what would it build, how large, how deep?"""

import pickletools
from typing import NamedTuple

from clrepro.errors import DataError

MAX_DEPTH = 200  # containers in containers; hashing and comparing them recurses in C, without a check
MAX_UNFOLDED = 32  # a part used n times counts n times; the whole may be so many times the file's length
# Integers from 2**61 - 1 on share hashes as a file likes (all k * (2**61 - 1) have 0), and a table of n keys
# of one hash takes n**2 comparisons.  No file of plain results holds many such numbers.
_WIDE = {
    "INT": 18,
    "LONG": 18,
    "LONG1": 9,
    "LONG4": 12,
}  # bytes of the argument of such a one
MAX_WIDE = 2000
SMALL = 1 << 20  # bytes or elements that any file may unfold to, however short


class _Operation(NamedTuple):
    name: str
    argument: int  # bytes, or one of pickletools' negative codes
    takes: int  # objects below the mark if it goes back to one, else objects
    marked: bool
    gives: int


def _operation(code: pickletools.OpcodeInfo) -> _Operation:
    before, marked = code.stack_before, pickletools.markobject in code.stack_before
    takes = before.index(pickletools.markobject) if marked else len(before)
    return _Operation(code.name, code.arg.n if code.arg else 0, takes, marked, len(code.stack_after))


_OPERATIONS = {ord(code.code): _operation(code) for code in pickletools.opcodes}
_WIDTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4, pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}  # fmt: skip
_FILLING = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_READING = {"ADDITEMS", "FROZENSET", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "BUILD"}


def follow(data: bytes, at: int) -> None:
    """Go through a pickle's operations with the sizes of objects in place of the objects.

    Raises: DataError if it would unfold, nest or number objects beyond measure; ValueError for damage.
    """
    stack: list[list[int]] = []  # per object: its bytes if nothing were shared, its depth
    marks: list[int] = []
    memo: dict[int, list[int]] = {}
    allowed, wide = SMALL + MAX_UNFOLDED * len(data), 0
    try:
        while (operation := _OPERATIONS[data[at]]).name != "STOP":
            name, start = operation.name, at + 1
            at = _end(data, start, operation)
            wide += name in _WIDE and at - start >= _WIDE[name]
            if wide > MAX_WIDE:
                raise DataError(f"holds more than {MAX_WIDE} integers that no result is as large as")
            if name == "MARK":
                marks.append(len(stack))
            elif name == "POP" and marks and marks[-1] == len(stack):
                marks.pop()
            elif name == "DUP":
                stack.append(stack[-1])
            elif name.endswith("GET"):
                stack.append(memo[_number(data[start:at], operation)])
            elif name.endswith("PUT") or name == "MEMOIZE":
                number = len(memo) if name == "MEMOIZE" else _number(data[start:at], operation)
                # The reader makes a table as long as the largest number.
                if number > len(data):
                    raise DataError(f"numbers an object {number}, in a file of {len(data)} bytes")
                memo[number] = stack[-1]
            else:
                allowed -= _step(stack, marks, operation, at - start + 1)
                if allowed < 0:
                    raise DataError("uses its parts over and over: it unfolds to far more than the file")
                if stack and stack[-1][1] > MAX_DEPTH:
                    raise DataError(f"nested more than {MAX_DEPTH} deep")
    except (IndexError, KeyError):
        raise ValueError(f"truncated or damaged at byte {at} of {len(data)}") from None


def _step(stack: list[list[int]], marks: list[int], operation: _Operation, length: int) -> int:
    """Replace what an operation takes by what it gives; returns the bytes it hashes or copies."""
    name, filling = operation.name, operation.name in _FILLING
    n_below = operation.takes - filling if operation.marked else 0
    n_above = len(stack) - marks.pop() if operation.marked else operation.takes - filling
    first = len(stack) - n_above - n_below
    if first < 0:
        raise IndexError
    taken = stack[first:]
    del stack[first:]
    size, depth = sum(part[0] for part in taken), 1 + max((part[1] for part in taken), default=0)
    if filling:
        stack[-1][0] += size
        stack[-1][1] = max(stack[-1][1], depth)
    elif operation.gives:
        stack.append([size + length, depth])
    if name in _READING:
        return size
    keys = taken[::2] if name in ("SETITEM", "SETITEMS", "DICT") else []
    return sum(part[0] for part in keys)


def _end(data: bytes, start: int, operation: _Operation) -> int:
    """Where an operation's argument ends."""
    if operation.argument == pickletools.UP_TO_NEWLINE:
        end = data.index(b"\n", start) + 1
        return data.index(b"\n", end) + 1 if operation.name in ("GLOBAL", "INST") else end
    width = _WIDTHS.get(operation.argument, 0)
    length = int.from_bytes(data[start : start + width], "little") if width else operation.argument
    if start + width + length > len(data):
        raise IndexError
    return start + width + length


def _number(argument: bytes, operation: _Operation) -> int:
    if operation.argument == pickletools.UP_TO_NEWLINE:
        return int(argument)
    return int.from_bytes(argument, "little")
