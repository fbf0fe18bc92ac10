"""docker/symbols.py: what it leaves is loaded and computes as before."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docker"))
import symbols

LAYOUT = struct.Struct("<IIQQQQIIQQ")


def library(content: bytes, tail: list[tuple[bytes, int, int, int]]) -> bytes:
    """An ELF file with one loaded segment `content` and behind it sections (name, kind, link, align)."""
    start = 64 + 56 + len(content)
    names = b"\0" + b"\0".join(name for name, *_ in tail) + b"\0.shstrtab\0"
    parts, place, headers = [content], start, [LAYOUT.pack(*[0] * 10)]
    headers.append(LAYOUT.pack(0, 1, 2, 0, 120, len(content), 0, 0, 1, 0))  # loaded
    for name, kind, link, align in [*tail, (b".shstrtab", 3, 0, 1)]:
        body = names if name == b".shstrtab" else name * 100
        padding = bytes(-place % align)
        place += len(padding)
        headers.append(
            LAYOUT.pack(names.index(name + b"\0"), kind, 0, 0, place, len(body), link, 0, align, 0)
        )
        parts += [padding, body]
        place += len(body)
    header = symbols._HEADER.pack(
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0"),
        3,
        62,
        1,
        0,
        64,
        place,
        0,
        64,
        56,
        1,
        64,
        len(headers),
        len(headers) - 1,
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, start, start, 4096)
    return b"".join([header, segment, *parts, *headers])


def sections(content: bytes) -> list[tuple[str, int, bytes]]:
    """Name, kind and bytes of the sections of an ELF file, as its headers tell them."""
    header = symbols._HEADER.unpack_from(content)
    found = [LAYOUT.unpack_from(content, header[6] + 64 * number) for number in range(header[12])]
    texts = found[header[13]]
    names = content[texts[4] : texts[4] + texts[5]]
    return [
        (names[each[0] :].partition(b"\0")[0].decode(), each[1], content[each[4] : each[4] + each[5]])
        for each in found
    ]


TAIL = [
    (b".comment", 1, 0, 1),
    (b".symtab", 2, 4, 8),
    (b".strtab", 3, 0, 1),
    (b".debug_info", 1, 0, 1),
    (b".note", 1, 0, 16),
]


def test_symbols_and_debug_sections_go_and_everything_else_keeps_its_bytes_and_number() -> None:
    before = library(b"code" * 50, TAIL)
    after = symbols.without_symbols(before)
    assert len(after) < len(before)
    assert after[64 : 120 + 200] == before[64 : 120 + 200]  # segments and what they load
    kept = {name: body for name, kind, body in sections(after) if kind}
    assert set(kept) == {"", ".comment", ".note", ".shstrtab"}
    for number, (name, kind, body) in enumerate(sections(before)):
        now = sections(after)[number]
        assert now == ((name, kind, body) if name in kept else ("", 0, b""))
    note = symbols._HEADER.unpack_from(after)[6] + 64 * 6
    assert LAYOUT.unpack_from(after, note)[4] % 16 == 0
    assert symbols.without_symbols(after) == after


@pytest.mark.parametrize(
    "tail",
    [
        [(b".comment", 1, 0, 1)],
        [(b".symtab", 2, 3, 8), (b".strtab", 3, 0, 1), (b".rela", 4, 2, 8)],  # for linkers
    ],
)
def test_what_has_no_symbols_or_needs_them_is_left_alone(tail: list[tuple[bytes, int, int, int]]) -> None:
    content = library(b"x" * 100, tail)
    assert symbols.without_symbols(content) is content


def test_loaded_bytes_behind_the_symbols_are_never_moved() -> None:
    content = bytearray(library(b"x" * 100, TAIL))
    struct.pack_into(
        "<QQQQ", content, 64 + 8, len(content) - 64, 0, 0, 64
    )  # patchelf puts segments at the end
    assert symbols.without_symbols(bytes(content)) == content


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "script.so"
    text.write_bytes(b"INPUT(libx.so)".ljust(symbols.LEAST_BYTES + 1))
    small = tmp_path / "small.so"
    small.write_bytes(library(b"x", TAIL))
    assert [symbols.drop_symbols(text), symbols.drop_symbols(small)] == [0, 0]


def test_a_real_library_loads_and_computes_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llvmlite = pytest.importorskip("llvmlite.binding")
    (place,) = Path(llvmlite.__file__).parent.glob("*llvmlite*.so")
    copy = tmp_path / place.name
    shutil.copy(place, copy)
    mode = copy.stat().st_mode
    saved = symbols.drop_symbols(copy)
    assert saved > 1 << 20
    assert copy.stat().st_size == place.stat().st_size - saved
    assert copy.stat().st_mode == mode
    # In a process of its own: two copies of LLVM in one do not get on.
    words = "import ctypes, sys; lib = ctypes.CDLL(sys.argv[1]); print(lib.LLVMPY_InitializeNativeTarget())"
    asked = [
        subprocess.run([sys.executable, "-c", words, str(each)], capture_output=True, text=True)
        for each in (place, copy)
    ]
    assert asked[0].stdout == asked[1].stdout != ""
