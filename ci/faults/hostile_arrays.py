"""Arrays, pictures and other binary files of giant shapes, with objects and code in them."""

import gzip
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from faults.hostile_archives import gz_zeros
from faults.packing import MB, Named, checkpoint, npy, zip_of


def arrays(canary: str) -> Iterator[Named]:
    """NPY, NPZ, MAT and idx files of objects, of giant shapes, and with code in their headers."""
    evil = pickle.dumps(np.array([_Marker(canary)], object), 4)
    bodies = {
        "objects": npy("'|O'", "(1,)", evil), "giant": npy("'<f8'", f"({1 << 40},)"),
        "overflow": npy("'<f8'", f"({1 << 62}, {1 << 62})"), "negative": npy("'<f8'", "(-1,)"),
        "code": npy(f"__import__('os').system('touch {canary}')", "(1,)"), "deep": npy("'<f8'", "(" * 2000),
        "version": b"\x93NUMPY\x09\x00", "records": npy("[('a', '|O')]", "(1,)", evil),
        "two gigabytes": npy("'|u1'", f"({1 << 31},)"),
    }  # fmt: skip
    names = (
        "tree",
        "a0",
        "batch_task",
        "batch_epoch",
        "batch_number",
        "batch_loss",
        "tracking",
        "tracking_task",
    )
    for name, body in bodies.items():
        yield f"npy {name}", body
        yield f"npz {name}", zip_of({f"{member}.npy": body for member in names})
    yield (
        "npz bomb",
        zip_of({"batch_task.npy": npy("'<i2'", f"({300 * MB},)", b"\0" * (600 * MB))}, zipfile.ZIP_DEFLATED),
    )
    yield "npz names that lead away", zip_of({"../../batch_task.npy": npy("'<i2'", "(0,)")})
    yield "idx giant", b"\0\0\x08\x04" + b"\xff" * 16
    yield "idx empty and giant", b"\0\0\x08\x03" + b"\0" * 4 + b"\xff" * 8
    yield "idx of no dimensions", b"\0\0\x08\x00"
    yield "idx gz bomb", gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 3 << 30)) + gz_zeros(3 << 30)
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    yield "mat nested", head + _mat_nested(3000)
    yield "mat bomb", head + _mat_packed(b"\0" * (400 * MB))
    yield "mat giant", head + struct.pack("<II", 14, 0xFFFFFFF0)
    yield "mat 7.3", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\0" * 100
    yield "mat 4", struct.pack("<5i", 0, 1 << 20, 1 << 20, 0, 2) + b"X\0"


class _Marker:
    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        import os

        return os.system, (f"touch {self.canary}",)


def _mat_packed(data: bytes) -> bytes:
    packed = zlib.compress(struct.pack("<II", 14, len(data)) + data)
    return struct.pack("<II", 15, len(packed)) + packed


def _mat_nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        flags = struct.pack("<IIII", 6, 8, 1, 0)  # a cell array
        body = flags + struct.pack("<IIii", 5, 8, 1, 1) + struct.pack("<HH4s", 1, 1, b"X\0\0\0") + body
        body = struct.pack("<II", 14, len(body)) + body
    return body


def images(canary: str) -> Iterator[Named]:
    """Pictures that unpack to gigabytes, and other formats under the name of a picture."""
    yield "png bomb", png(60_000, 60_000)
    yield "png of allowed size, bomb in a text", png(28, 28, text=200 * MB)
    yield "png without data", png(28, 28, rows=0)
    yield "png of 32 with too few rows", png(32, 32, rows=1)
    yield "jpeg head", b"\xff\xd8\xff\xe0" + b"\0" * 100
    yield "jpeg giant", b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + b"\x01\x11\x00" * 3
    script = f"(touch {canary}) (%pipe%touch {canary}) (w) file"
    eps = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n{script}\nshowpage\n"
    yield "postscript as a picture", eps.encode()
    yield "gif", b"GIF89a\xff\xff\xff\xff\xf7\x00\x00" + b"\0" * 800
    yield "tiff", b"II*\x00\xff\xff\xff\x7f"
    yield "bmp", b"BM" + struct.pack("<IHHIIiiHH", 60, 0, 0, 54, 40, 100_000, 100_000, 1, 24) + b"\0" * 24
    yield "svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"


def png(width: int, height: int, rows: int | None = None, text: int = 0) -> bytes:
    """A grey PNG of zeros; a given number of rows, and a compressed text of so many bytes before them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    row = b"\0" * (1 + width)
    packed = b"".join(packer.compress(row) for _ in range(min(height, 4096) if rows is None else rows))
    packed += packer.flush()
    extra = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * text)) if text else b""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def oddities() -> Iterator[Named]:
    """What no format begins with, and texts that break tables."""
    yield "empty", b""
    yield "one byte", b"\0"
    yield "zeros", b"\0" * 4096
    yield "ones", b"\xff" * 4096
    yield "newlines", b"\n" * 4096
    yield "utf-16", "a=b\n".encode("utf-16")
    yield "long line", b"a," * 200_000
    yield "long field", b'"' + b"a" * 400_000 + b'"\n'
    yield "open quote", b'lr,validation_accuracy\n"0.1,0.5\n'
    yield "csv with an empty line", b"lr,validation_accuracy\n\n0.1,0.5\n"
    yield "csv with nul", b"lr,validation_accuracy\n0.1\0,0.5\n"
    yield "csv with words", b"lr,validation_accuracy\na,b\n"
    yield "env", b"DATASET_LOCATION_MNIST=\xff\xfe\n"
    yield "env nul", b"DATASET_LOCATION_MNIST=/tmp\0/x\nexport =\n=\n"
    yield "own magic", b"clrepro-state 1 " + b"0" * 64 + b"\n"
    yield "own magic, forged", checkpoint(zip_of({"tree.npy": npy("'|u1'", "(2,)", b"{}")}))
    repeats = b'{"a": [' + b",".join([b'{"__array__": 0}'] * 20_000) + b"]}"
    tree = npy("'|u1'", f"({len(repeats)},)", repeats)
    zeros = npy("'|u1'", f"({MB},)", b"\0" * MB)
    yield "checkpoint that repeats an array", checkpoint(zip_of({"tree.npy": tree, "a0.npy": zeros}))
    deep = b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    yield "checkpoint deep", checkpoint(zip_of({"tree.npy": npy("'|u1'", f"({len(deep)},)", deep)}))
