"""What the layers of an image hold, read from the archive that `docker save` writes.  Standard library only.

A file that a later layer removes is still sent with the image, so every layer is looked through, not the
container's file system.
"""

import json
import re
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO

from engine import Engine
from image import CheckFailed, Image, expect, good

PACKAGES = r"opt/venv/[^/]+/lib/python[\d.]+/site-packages"
# What no layer may hold, by the path in it.
UNWANTED = {
    "a compiler": re.compile(
        r"((usr/)?(local/)?s?bin|opt/.*/bin)/"
        r"(([\w.]+-linux-gnu-)?(gcc|g\+\+|cc|c\+\+|cpp|clang(\+\+)?|ld|as|gold)(-[\d.]+)?|make|cmake|ninja|rustc|go|javac)"
        r"|.*/libclang[^/]*\.so[.\d]*"
    ),
    "a package cache": re.compile(
        r"var/cache/(apt/(archives/)?[^/]+\.(deb|bin)|pip/.+)|var/lib/apt/lists/[^/]+_.*|(root|home/[^/]+)/\.cache/.+"
    ),
    "tests": re.compile(rf"opt/cl-repro/(core|papers/[^/]+)/tests/.+|{PACKAGES}/(.+/)?tests/.+"),
    "results": re.compile(r"results/.+|opt/cl-repro/papers/[^/]+/results/.+"),
}


@dataclass
class Layers:
    """Layer -> its bytes as an archive, from the first; for each kind of UNWANTED the paths that are it."""

    sizes: dict[str, int] = field(default_factory=dict)
    unwanted: dict[str, list[str]] = field(default_factory=dict)
    n_files: int = 0


def check_layers(image: Image) -> str:
    """No layer holds a compiler, a package cache, tests or results."""
    layers = read_layers(image.engine, image.tag)
    image.layers.update(layers.sizes)
    for what, paths in layers.unwanted.items():
        expect(not paths, f"{len(paths)} files are {what}, such as {', '.join(paths[:3])}")
    expect(layers.n_files > 1000, f"only {layers.n_files} files are in its layers")
    return f"{layers.n_files} files in {len(layers.sizes)} layers"


def read_layers(engine: Engine, tag: str) -> Layers:
    """The layers of image `tag`.  Raises: CheckFailed if the engine does not give them."""
    told = good(engine.call("image", "inspect", "--format", "{{json .RootFS.Layers}}", tag)).stdout
    digests: list[str] = json.loads(told)
    layers, by_place = Layers(unwanted={what: [] for what in UNWANTED}), {}
    order: list[str] = []
    command = [engine.client, "save", tag]
    with subprocess.Popen(command, env=engine.environment(), stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        with tarfile.open(fileobj=saving.stdout, mode="r|") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                content = archive.extractfile(member)
                assert content is not None
                if member.name == "manifest.json":
                    order = json.load(content)[0]["Layers"]
                elif member.name.endswith("layer.tar") or member.name.startswith("blobs/"):
                    if (names := _names(content)) is not None:
                        by_place[member.name] = member.size
                        layers.n_files += _sort(names, layers.unwanted)
        while saving.stdout.read(1 << 20):  # the padding behind the archive
            pass
    if saving.returncode or len(order) != len(digests):
        raise CheckFailed(f"docker save {tag} ended with {saving.returncode} and {len(order)} layers")
    layers.sizes = {digest: by_place[place] for digest, place in zip(digests, order, strict=True)}
    return layers


def shared_and_own(layers: dict[str, int], others: Iterable[dict[str, int]]) -> tuple[int, int]:
    """The bytes of `layers` that one of `others` holds too, and those that only this image has.

    Args: layers — digest -> bytes; others — the same of the images that are there already.
    """
    known = {digest for other in others for digest in other}
    shared = sum(n_bytes for digest, n_bytes in layers.items() if digest in known)
    return shared, sum(layers.values()) - shared


def _names(content: IO[bytes]) -> list[str] | None:
    """The files in the archive `content`; None if it is none (newer engines keep JSON beside the layers)."""
    try:
        with tarfile.open(fileobj=content, mode="r|*") as layer:
            return [member.name.removeprefix("./") for member in layer if not member.isdir()]
    except tarfile.ReadError:
        return None


def _sort(names: list[str], unwanted: dict[str, list[str]]) -> int:
    """Put each of `names` that is UNWANTED into the lists; how many names there are."""
    for what, pattern in UNWANTED.items():
        unwanted[what] += [name for name in names if pattern.fullmatch(name)]
    return len(names)
