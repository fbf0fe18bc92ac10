"""What hostile files are packed in: zip and tar archives, torch files, arrays, checkpoints."""

import hashlib
import io
import struct
import tarfile
import zipfile

MB = 1 << 20
Named = tuple[str, bytes]


def sized(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


def zip_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def torch_zip(data: bytes, bomb: bool = False) -> bytes:
    """A file in torch's zip layout around a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if bomb else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", data + b"\0" * (256 * MB if bomb else 0))
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def tar_of(members: "list[tuple[tarfile.TarInfo, bytes]]", form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, data in members:
            add(archive, info, data)
    return buffer.getvalue()


def add(archive: tarfile.TarFile, info: tarfile.TarInfo, data: bytes) -> None:
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def npy(descr: str, shape: str, body: bytes = b"") -> bytes:
    """A .npy file with a header of one's own."""
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    head = head.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body


def checkpoint(body: bytes) -> bytes:
    """A checkpoint file with a right checksum around a forged body."""
    return b"clrepro-state 1 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
