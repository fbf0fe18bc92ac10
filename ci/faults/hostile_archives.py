"""Zip and tar files that lead elsewhere, unpack without end or are damaged inside."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator

from faults.packing import MB, Named, tar_of, zip_of


def archives(canary: str) -> Iterator[Named]:
    """Zip and tar files that lead elsewhere, unpack without end or are no files at all."""
    outside = (
        "/" + canary.lstrip("/"),
        "../" * 12 + canary.lstrip("/"),
        "a/../../../" + canary.lstrip("/"),
        "C:\\x\\y.png",
    )
    for name in outside:
        yield f"zip member {name[:12]}", zip_of({name: b"x"})
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        for name in (
            *outside,
            f"../mnist_rotations.pt{' ' * 3}",
            "../../mnist_rotations.pt",
            "/tmp/mnist_rotations.pt",
        ):
            yield f"tar member {name[:12]} {form}", tar_of([(tarfile.TarInfo(name), b"x")], form)
        yield f"tar of devices {form}", tar_of(_specials(canary), form)
    yield (
        "tar link then file",
        tar_of([(_link("mnist_rotations.pt", canary), b""), (tarfile.TarInfo("mnist_rotations.pt"), b"x")]),
    )
    yield "zip link", _zip_link(canary)
    for packer in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield (
            f"zip bomb {packer}",
            zip_of({"train/a/x.png": b"\0" * (64 * MB), "test/a/x.png": b"\0"}, packer),
        )
        broken = bytearray(zip_of({"train/a/x.png": bytes(range(256)) * 16, "test/a/x.png": b"y"}, packer))
        broken[60:90] = b"\xff" * 30
        yield f"zip damaged inside {packer}", bytes(broken)
    for packer, name in ((gzip.compress, "gz"), (_xz, "xz"), (_bz2, "bz2")):
        yield f"tar.{name} of zeros", packer(tar_of([(tarfile.TarInfo("A/x.png"), b"\0" * (300 * MB))]))
        broken = bytearray(packer(tar_of([(tarfile.TarInfo("A/x.png"), bytes(range(256)) * 400)])))
        for at in range(len(broken) // 2, len(broken) - 8, 7):
            broken[at] ^= 0x55
        yield f"tar.{name} damaged inside", bytes(broken)
    for kind, where in ((b"L", "a name"), (b"x", "a header"), (b"0", "a file")):
        yield f"gz bomb in {where}", gzip.compress(_giant_header(kind, 5 << 30, fill=0)) + gz_zeros(5 << 30)
    yield "tar member without end", _giant_header(b"0", (1 << 63) - 1, fill=0)
    yield "tar of negative size", _giant_header(b"0", -512, fill=0)
    yield "tar header of negative size", _giant_header(b"x", -512, fill=0)
    yield "tar sparse giant", _sparse()
    yield (
        "tar sparse map",
        _pax({"GNU.sparse.map": "0,1," * 100_000 + "0,1", "GNU.sparse.size": str(1 << 40)}),
    )
    yield "tar of a hundred thousand", tar_of([(tarfile.TarInfo(f"A/{k}.png"), b"") for k in range(100_000)])
    yield "pax numbers", _pax({"size": "1e9", "mtime": "nan", "GNU.sparse.major": "x"})
    yield "pax long number", _pax({"size": "9" * 5000})
    yield "pax bad length", tar_of([(tarfile.TarInfo("A/x"), b"y")])[:512].replace(b"\x000\x00", b"\x00x\x00")
    yield "zip of many", zip_of({f"train/{i}/x.png": b"" for i in range(20_000)})
    yield "zip end without start", b"PK\x05\x06" + b"\xff" * 18
    yield (
        "zip 64 nonsense",
        b"PK\x06\x06" + b"\xff" * 52 + b"PK\x06\x07" + b"\0" * 16 + b"PK\x05\x06" + b"\xff" * 16 + b"\0\0",
    )


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _specials(canary: str) -> "list[tuple[tarfile.TarInfo, bytes]]":
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
    names = [
        "A/x.png",
        "mnist_rotations.pt",
        "cifar-10-batches-py/data_batch_1",
        "images.txt",
        "train/a/x.png",
    ]
    return [(_link(name, canary, kind), b"") for name in names for kind in kinds]


def _zip_link(canary: str) -> bytes:
    info = zipfile.ZipInfo("train/a/x.png")
    info.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, canary)
    return buffer.getvalue()


def _giant_header(kind: bytes, size: int, fill: int = -1) -> bytes:
    info = tarfile.TarInfo("A/x.png")
    info.type = kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"a" * (size if fill < 0 else fill)


def gz_zeros(n: int) -> bytes:
    """So many bytes, multiples of 64 MB, as gzip members one after the other."""
    return gzip.compress(b"a" * (64 * MB), 1) * (n // (64 * MB))


def _sparse() -> bytes:
    info = tarfile.TarInfo("A/x.png")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    return tar_of([(info, b"1\n0\n1\n".ljust(512, b"\0"))])


def _pax(headers: dict[str, str]) -> bytes:
    info = tarfile.TarInfo("A/x.png")
    info.pax_headers = headers
    return tar_of([(info, b"y")])


def _xz(data: bytes) -> bytes:
    import lzma

    return lzma.compress(data, preset=0)


def _bz2(data: bytes) -> bytes:
    import bz2

    return bz2.compress(data, 1)
