"""`cl-repro records`: a folder of records packed into one file, for the repository, and unpacked again."""

from pathlib import Path

from clrepro.packed import pack, unpack
from clrepro.records import PACKED
from clrepro.sweep.host import show


def run(action: str, folder: Path, sources: list[Path], out: Path) -> int:
    """Pack the records below `folder` and `sources` into `folder`/records.jsonl, or unpack it below `out`.

    Args: action — "pack" or "unpack".
    Returns: 0.  Raises: DataError as `clrepro.packed.pack` and `unpack`.
    """
    if action == "pack":
        count = pack(folder, sources)
        left = f"; {count.failed} failed runs are left out" if count.failed else ""
        show(f"{folder / PACKED}: {count.total} runs, {count.new} new, {count.replaced} replaced{left}")
    else:
        written, there = unpack(folder, out)
        show(f"{out}: {written} records written, {there} were there")
    return 0
