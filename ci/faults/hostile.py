"""Files made to harm their reader: to run code, to write elsewhere, to take all memory or time."""

from collections.abc import Iterator

from faults.hostile_archives import archives
from faults.hostile_arrays import arrays, images, oddities
from faults.hostile_pickles import pickles, torch_files
from faults.hostile_texts import jsons, tomls, yamls
from faults.packing import Named


def every(canary: str) -> Iterator[Named]:
    """Yields (name, bytes) of all hostile files.  Args: canary — the file that executed code would make."""
    yield from pickles(canary)
    yield from torch_files(canary)
    yield from yamls(canary)
    yield from jsons()
    yield from tomls()
    yield from archives(canary)
    yield from arrays(canary)
    yield from images(canary)
    yield from oddities()
