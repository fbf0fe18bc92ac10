"""Pickles and torch files that call what they like, and bombs of memory, depth and numbers."""

import io
import pickle
import pickletools
import struct
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from faults.packing import MB, Named, add, sized, torch_zip, zip_of


class _Calls:
    """Pickles to a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = (function, arguments)

    def __reduce__(self) -> Any:
        return self.made


def pickles(canary: str) -> Iterator[Named]:
    """Calls by every operation that can make one, and bombs of memory, depth and numbers."""
    import os
    import subprocess

    command = f"touch {canary}"
    code = f"open({canary!r}, 'w').close()"
    for protocol in range(6):
        yield f"pickle os.system {protocol}", pickle.dumps(_Calls(os.system, command), protocol)
        yield f"pickle exec {protocol}", pickle.dumps({"data": _Calls(exec, code), "labels": [1]}, protocol)
    yield "pickle Popen", pickle.dumps(_Calls(subprocess.Popen, ["touch", canary]), 4)
    yield "pickle eval in a list", pickle.dumps([1, (2, {"x": _Calls(eval, code)})], 4)
    yield "pickle open", pickle.dumps(_Calls(open, canary, "w"), 4)
    text = command.encode()
    yield "pickle INST", b"(S'" + text + b"'\nios\nsystem\n."
    yield "pickle OBJ", b"(cos\nsystem\nS'" + text + b"'\no."
    yield "pickle REDUCE", b"cos\nsystem\n(S'" + text + b"'\ntR."
    yield "pickle NEWOBJ", b"\x80\x02csubprocess\nPopen\n(X" + sized(text) + b"tt\x81."
    yield "pickle NEWOBJ_EX", b"\x80\x04csubprocess\nPopen\n)}\x92."
    yield (
        "pickle STACK_GLOBAL",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + bytes([len(text)]) + text + b"\x85R.",
    )
    dotted = b"\x80\x04\x8c\x05numpy\x8c\x09os.system\x93\x8c" + bytes([len(text)]) + text + b"\x85R."
    yield "pickle dotted name", dotted
    yield "pickle BUILD on a function", b"\x80\x02cnumpy\nndarray\n}X\x08\x00\x00\x00__call__K\x01sb."
    yield (
        "pickle BUILD on a class",
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemscos\nsystem\nsb.",
    )
    for operation in (b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"):
        yield f"pickle extension {operation[0]:#x}", b"\x80\x02" + operation + b"."
    yield "pickle persistent id", b"Pcanary\n."
    yield "pickle binary persistent id", b"\x80\x02X\x01\x00\x00\x00aQ."
    for module, name in (
        (b"builtins", b"getattr"), (b"__builtin__", b"eval"), (b"operator", b"attrgetter"),
        (b"functools", b"partial"), (b"numpy.testing", b"runstring"), (b"torch", b"load"),
        (b"torch.hub", b"load"), (b"pickle", b"loads"), (b"runpy", b"run_path"), (b"ctypes", b"CDLL"),
        (b"importlib", b"import_module"), (b"webbrowser", b"open"), (b"shutil", b"rmtree"),
        (b"_codecs", b"decode"), (b"copyreg", b"_reconstructor"), (b"numpy", b"load"),
    ):  # fmt: skip
        yield (
            f"pickle {module.decode()}.{name.decode()}",
            b"c" + module + b"\n" + name + b"\n(S'" + text + b"'\ntR.",
        )
    yield "pickle codec with a module", b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR."
    yield from _pickle_bombs()


def _pickle_bombs() -> Iterator[Named]:
    doubled = b"\x80\x02]q\x00" + b"".join(
        b"]q" + bytes([i + 1]) + b"(h" + bytes([i]) + b"h" + bytes([i]) + b"e" for i in range(60)
    )
    yield "pickle memo bomb", doubled + b"."
    yield (
        "pickle memo bomb of texts",
        b"\x80\x02X" + sized(b"a" * 1000) + b"q\x00(" + b"h\x00" * 400_000 + b"t.",
    )
    yield "pickle tuple keys bomb", b"\x80\x02)q\x00" + b"0h\x00h\x00\x86q\x00" * 50 + b"0}h\x00K\x01s."
    yield "pickle deep list", b"]" * 200_000 + b"a" * 199_999 + b"."
    yield "pickle deep tuple", b"K\x01" + b"\x85" * 200_000 + b"."
    yield "pickle endless frame", b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f" + b"N."
    yield "pickle endless text", b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"a."
    yield "pickle endless bytes", b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"a."
    yield "pickle endless bytearray", b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"a."
    yield "pickle far memo", b"\x80\x02Nr\xff\xff\xff\x7f."
    yield "pickle far memo in digits", b"Np4000000000\n."
    yield "pickle long number in digits", b"L" + b"9" * 400_000 + b"L\n."
    yield "pickle long number", pickle.dumps(10**20_000, 4)
    yield "pickle long label", pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [10**6000]}, 4)
    yield (
        "pickle long fine label",
        pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "fine_labels": [-(10**6000)]}, 4),
    )
    yield "pickle long key", pickle.dumps({10**6000: 1, "data": 10**6000, "mean": 10**6000}, 4)
    yield "pickle long loss", pickle.dumps(
        {"epoch_data": [{"individual_accuracies": [0.5], "overall_accuracy": 0.5, "task_id": 0,
                         "epoch_loss": 10**6000}]}, 4)  # fmt: skip
    yield "pickle long memory size", pickle.dumps(
        {"epoch_data": [{"individual_accuracies": [0.5], "overall_accuracy": 0.5, "task_id": 0,
                         "memory_size": 10**400}]}, 4)  # fmt: skip
    yield (
        "pickle wide row",
        pickle.dumps(
            {
                "epoch_data": [
                    {"individual_accuracies": [0.5] * 300_000, "overall_accuracy": 0.5, "task_id": 0}
                ]
            },
            4,
        ),
    )
    yield (
        "pickle ragged places",
        pickle.dumps(
            {"image_data": np.zeros((4, 84, 84, 3), np.uint8), "class_dict": {"a": [[1], [1, 2]]}}, 4
        ),
    )
    shape = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tX\x01\x00\x00\x00btR"
    dtype = b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1K\x00K\x01tR"
    huge = b"\x8a\x08" + struct.pack("<q", 1 << 50)
    yield (
        "pickle array of giant shape",
        b"\x80\x02" + shape + b"(K\x01(" + huge + b"t" + dtype + b"K\x00C\x04abcdtb.",
    )
    objects = b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8K\x00K\x01tR"
    yield (
        "pickle array of objects",
        b"\x80\x02" + shape + b"(K\x01(K\x01t" + objects + b"K\x00](cos\nsystem\netb.",
    )
    loop = b"\x80\x02]q\x00h\x00a."
    yield "pickle that holds itself", loop
    yield (
        "pickle of a table with itself",
        b"\x80\x02}q\x00X\x06\x00\x00\x00paramsq\x01}q\x02X\x01\x00\x00\x00ah\x02ss.",
    )
    yield "pickle of colliding keys", _colliding(60_000)
    yield "pickle of nested torch files", _nested_torch(30)
    yield "pickle of unhashable keys", b"\x80\x02}]K\x01s."
    yield "pickle without end", b"\x80\x04" + b"N0" * 100_000
    for code in pickletools.opcodes:
        yield f"pickle lone {code.name}", b"\x80\x04" + code.code.encode("latin1") + b"\x00\n\x00\n."


def _colliding(n: int) -> bytes:
    """A table of n integers of one hash: k (2**61 - 1)."""
    keys = (b"\x8a\x0a" + (k * (2**61 - 1)).to_bytes(10, "little") + b"K\x00" for k in range(1, n))
    return b"\x80\x04}(" + b"".join(keys) + b"u."


def _nested_torch(levels: int) -> bytes:
    """Torch files of the old layout in one another."""
    system = pickle.dumps({"little_endian": True}, 2)
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + system
    data = b"N."
    for _ in range(levels):
        inner = head + data
        data = b"ctorch.storage\n_load_from_bytes\n(B" + struct.pack("<I", len(inner)) + inner + b"tR."
    return data


def torch_files(canary: str) -> Iterator[Named]:
    """Torch's zip layout and its older one, with pickles of others' making."""
    call = f"cos\nsystem\n(S'touch {canary}'\ntR.".encode()
    yield "torch zip with a call", torch_zip(call)
    yield "torch zip with a deep pickle", torch_zip(b"]" * 100_000 + b"a" * 99_999 + b".")
    yield (
        "torch zip with a long number",
        torch_zip(b"\x80\x02" + b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * MB + b"."),
    )
    yield "torch zip, compressed bomb", torch_zip(b"\x80\x02N.", bomb=True)
    yield "torch zip without a pickle", zip_of({"archive/version": b"3\n"})
    yield "torch zip with two roots", zip_of({"a/data.pkl": b"N.", "b/data.pkl": call})
    yield "torch script", zip_of({"m/constants.pkl": call, "m/data.pkl": call, "m/code/__torch__.py": b"x=1"})
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    system = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
    yield "old torch file with a call", magic + system + call
    yield "old torch file, call in the keys", magic + system + b"\x80\x02N." + call
    yield (
        "old torch file, endless storage",
        magic + system + b"\x80\x02N." + pickle.dumps(["0"], 2) + b"\xff" * 8,
    )
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name in ("pickle", "storages", "tensors"):
            add(archive, tarfile.TarInfo(name), call)
    yield "oldest torch file, a tar", tar.getvalue()
