"""Files made to harm their reader: to run code, to write elsewhere, to take all memory or time."""

import gzip
import io
import pickle
import pickletools
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

MB = 1 << 20
Named = tuple[str, bytes]


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
    yield "pickle NEWOBJ", b"\x80\x02csubprocess\nPopen\n(X" + _sized(text) + b"tt\x81."
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
        b"\x80\x02X" + _sized(b"a" * 1000) + b"q\x00(" + b"h\x00" * 400_000 + b"t.",
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
    yield "pickle of unhashable keys", b"\x80\x02}]K\x01s."
    yield "pickle without end", b"\x80\x04" + b"N0" * 100_000
    for code in pickletools.opcodes:
        yield f"pickle lone {code.name}", b"\x80\x04" + code.code.encode("latin1") + b"\x00\n\x00\n."


def _sized(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


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
            _add(archive, tarfile.TarInfo(name), call)
    yield "oldest torch file, a tar", tar.getvalue()


def torch_zip(data: bytes, bomb: bool = False) -> bytes:
    """A file in torch's zip layout around a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if bomb else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", data + b"\0" * (256 * MB if bomb else 0))
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def zip_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def yamls(canary: str) -> Iterator[Named]:
    """Python tags, bombs of anchors and merges, and values that constructors stumble over."""
    for tag, value in (
        ("python/object/apply:os.system", f"['touch {canary}']"),
        ("python/object/new:os.system", f"['touch {canary}']"),
        ("python/object/apply:subprocess.Popen", f"[['touch', '{canary}']]"),
        ("python/name:os.system", "''"), ("python/module:os", "''"), ("python/tuple", "[1]"),
        ("int", "abc"), ("float", "abc"), ("bool", "maybe"), ("timestamp", "soon"), ("binary", "%%%"),
        ("null", "x"), ("set", "[1]"), ("omap", "1"),
    ):  # fmt: skip
        for key in ("num_epochs", "batch_size", "x"):
            yield f"yaml !!{tag} {key}", f"{key}: !!{tag} {value}\n".encode()
    laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    )
    yield "yaml billion laughs", laughs.encode()
    yield "yaml billion laughs in a setting", (laughs + "batch_size: *a11\n").encode()
    yield "yaml billion laughs in num_epochs", (laughs + "num_epochs: *a11\n").encode()
    yield (
        "yaml billion laughs in task_specific",
        (laughs + "task_specific: {permutation: {num_tasks: *a11}}\n").encode(),
    )
    merges = "a0: &a0 {k: 1}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12)
    )
    yield "yaml merge bomb", merges.encode()
    yield "yaml deep list", b"x: " + b"[" * 50_000 + b"]" * 50_000
    yield "yaml deep map", b"{a: " * 50_000 + b"}" * 50_000
    yield "yaml deep indent", b"".join(b" " * i + b"a:\n" for i in range(3000))
    yield "yaml that holds itself", b"&a {batch_size: *a}"
    yield "yaml list that holds itself", b"batch_size: &a [*a]"
    yield "yaml long number", b"batch_size: " + b"9" * 20_000
    yield "yaml bad date", b"batch_size: 2001-99-99\nseed: 2001-01-01T99:99:99Z"
    yield "yaml odd numbers", b"a: 0b_\nb: 0x_\nc: 1:99:99\nd: .inf\ne: 0o9\nlearning_rate: .nan"
    yield "yaml binary", b"a: \x00\x01"
    yield "yaml unhashable keys", b"? [a, b]\n: 1\n? {c: d}\n: 2"
    yield "yaml many documents", b"---\na: 1\n---\nb: 2\n"
    yield "yaml surrogate", b'output_dir: "\\ud800"\n'
    yield "yaml nul in a path", b'data_dir: "a\\0b"\n'


def jsons() -> Iterator[Named]:
    """Depth, width, numbers and texts that later code stumbles over."""
    for depth in (100, 300, 500, 900, 100_000):
        yield f"json deep list {depth}", b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
        yield f"json deep table {depth}", b'{"a": ' * depth + b"1" + b"}" * depth
    for value in (
        "1e999",
        "-1e999",
        "NaN",
        "Infinity",
        "9" * 4000,
        "9" * 5000,
        "1e400",
        "-0",
        "1" + "0" * 400,
    ):
        yield (
            f"json number {value[:12]}",
            f'{{"a": {value}, "seed": {value}, "metrics": {{"RA": {value}}}}}'.encode(),
        )
    yield "json surrogate", b'{"a": "\\ud800", "\\udfff": 1}'
    yield "json twice", b'{"a": 1, "a": 2}'
    yield "json nul", b'{"a": "\\u0000"}\x00'
    yield "json half", b'{"a": "'
    yield "json list", b"[1]"
    yield "json with mark", b"\xef\xbb\xbf{}"
    yield "json utf-16", '{"a": 1}'.encode("utf-16")
    yield "json many keys", b"{" + b",".join(b'"k%d": 1' % i for i in range(100_000)) + b"}"


def tomls() -> Iterator[Named]:
    """Nesting, numbers, dates and dotted keys."""
    yield "toml deep list", b"a = " + b"[" * 20_000 + b"]" * 20_000
    yield "toml deep table", b"a = " + b"{b = " * 20_000 + b"1" + b"}" * 20_000
    yield "toml deep key", b".".join([b"a"] * 20_000) + b" = 1"
    yield "toml deep header", b"[" + b".".join([b"a"] * 20_000) + b"]"
    yield "toml long number", b"[quick]\nseeds = [" + b"9" * 20_000 + b"]"
    yield "toml long hexadecimal", b"seeds = 0x" + b"f" * 100_000
    for value in (
        b"nan",
        b"inf",
        b"-inf",
        b"1e999",
        b"1979-05-27T07:32:00Z",
        b"9999-99-99",
        b"07:32:00",
        b'"\\uD800"',
    ):
        yield (
            f"toml value {value.decode()}",
            b"[quick]\nseeds = [0]\n[[quick.row]]\nsetting = 's'\nmethod = 'm'\n"
            + (b"command = 'main.py {seed}'\nseconds = " + value + b"\n"),
        )
        yield f"toml profile of {value.decode()}", b"quick = " + value
    names = b"[" + b",".join(b'"n%d"' % i for i in range(2000)) + b"]"
    yield "toml claims product", (
        b'title = "t"\n[metrics]\nA = "a"\n[[ordering]]\nprofile = "p"\nclaim = "c"\nsetting = ' + names
        + b'\nmetric = "A"\nbetter = ' + names + b"\nworse = " + names + b"\nslack_pct = 1\n"
    )  # fmt: skip
    yield "toml keys with dots and blanks", b'["..".".."]\nx = 1\n["quick\\u0000"]\ny = 1'
    yield (
        "toml path as a name",
        (
            b"[\"../../x\"]\nseeds = [0]\n[[\"../../x\".row]]\nsetting = '../../../etc'\nmethod = 'm'\n"
            b"command = 'main.py {seed}'\n"
        ),
    )
    yield (
        "toml path as a method",
        (
            b"[quick]\nseeds = [0]\n[[quick.row]]\nsetting = '../../../etc'\nmethod = '..'\n"
            b"command = 'main.py {seed}'\n"
        ),
    )


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
        yield f"gz bomb in {where}", gzip.compress(_giant_header(kind, 5 << 30, fill=0)) + _gz_zeros(5 << 30)
    yield "tar member without end", _giant_header(b"0", (1 << 63) - 1, fill=0)
    yield "tar of negative size", _giant_header(b"0", -512, fill=0)
    yield "tar header of negative size", _giant_header(b"x", -512, fill=0)
    yield "tar sparse giant", _sparse()
    yield "pax numbers", _pax({"size": "1e9", "mtime": "nan", "GNU.sparse.major": "x"})
    yield "pax long number", _pax({"size": "9" * 5000})
    yield "pax bad length", tar_of([(tarfile.TarInfo("A/x"), b"y")])[:512].replace(b"\x000\x00", b"\x00x\x00")
    yield "zip of many", zip_of({f"train/{i}/x.png": b"" for i in range(20_000)})
    yield "zip end without start", b"PK\x05\x06" + b"\xff" * 18
    yield (
        "zip 64 nonsense",
        b"PK\x06\x06" + b"\xff" * 52 + b"PK\x06\x07" + b"\0" * 16 + b"PK\x05\x06" + b"\xff" * 16 + b"\0\0",
    )


def tar_of(members: "list[tuple[tarfile.TarInfo, bytes]]", form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, data in members:
            _add(archive, info, data)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, info: tarfile.TarInfo, data: bytes) -> None:
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


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


def _gz_zeros(n: int) -> bytes:
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


def npy(descr: str, shape: str, body: bytes = b"") -> bytes:
    """A .npy file with a header of one's own."""
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    head = head.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body


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
    yield "idx of no dimensions", b"\0\0\x08\x00"
    yield "idx gz bomb", gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 3 << 30)) + _gz_zeros(3 << 30)
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


def checkpoint(body: bytes) -> bytes:
    """A checkpoint file with a right checksum around a forged body."""
    import hashlib

    return b"clrepro-state 1 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
