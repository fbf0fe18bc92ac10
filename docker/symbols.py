"""Remove the symbol tables and debug sections of shared libraries: debuggers read them, loaders do not.

Standard library only.  They are a fifth of libtorch_cpu.so and of TensorFlow's library and nearly all of
pybullet's.  This is what `strip --strip-all` does, without binutils, which the build of an image has not.
Only sections that no program loads go, and only where they lie behind everything that is loaded, so no
address and no loaded byte moves.
"""

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

LEAST_BYTES = 1 << 20  # smaller libraries are not worth rewriting
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # of ELF, 64 bits, little-endian: System V ABI, chapter 4
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_MAGIC = b"\x7fELF\x02\x01\x01"
_NULL, _SYMTAB, _STRTAB, _NOBITS = 0, 2, 3, 8
_LOADED = 2  # SHF_ALLOC


@dataclass(frozen=True)
class _Section:
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int

    @property
    def stored(self) -> bool:
        """Whether it has bytes in the file."""
        return self.kind not in (_NULL, _NOBITS)

    def packed(self) -> bytes:
        return _SECTION.pack(*vars(self).values())


def drop_symbols(library: Path) -> int:
    """Rewrite `library` without what only debuggers read; its mode stays.

    Returns: the bytes saved, 0 if it is left alone.
    Left alone is what is no 64-bit ELF file, is small, has no such table, or is laid out in another way.
    """
    size = library.stat().st_size
    if size < LEAST_BYTES:
        return 0
    with open(library, "rb") as file:
        start = file.read(_HEADER.size)
    if not start.startswith(_MAGIC):
        return 0
    content = library.read_bytes()
    smaller = without_symbols(content)
    if len(smaller) == len(content):
        return 0
    unfinished = library.with_name(f"{library.name}.unfinished")
    unfinished.write_bytes(smaller)
    unfinished.chmod(library.stat().st_mode)
    os.replace(unfinished, library)
    return len(content) - len(smaller)


def without_symbols(content: bytes) -> bytes:
    """An ELF file's `content` without symbols, or `content` itself if that is not safe."""
    header = list(_HEADER.unpack_from(content))
    segments_at, sections_at, n_segments, n_sections = header[5], header[6], header[10], header[12]
    if not n_sections or sections_at + n_sections * _SECTION.size > len(content):
        return content
    sections = [
        _Section(*_SECTION.unpack_from(content, sections_at + i * _SECTION.size)) for i in range(n_sections)
    ]
    segments = [_SEGMENT.unpack_from(content, segments_at + i * _SEGMENT.size) for i in range(n_segments)]
    loaded = [section for section in sections if section.stored and section.flags & _LOADED]
    end = max(
        [segments_at + n_segments * _SEGMENT.size, *(each[2] + each[5] for each in segments)]
        + [section.offset + section.size for section in loaded]
    )
    gone = _symbol_sections(sections, header[13]) | _debug_sections(sections, content, header[13])
    tail = [section for section in sections if section.stored and not section.flags & _LOADED]
    if not gone or sections_at < end or any(section.offset < end for section in tail):
        return content
    parts, place, moved = [content[:end]], end, []
    for number, section in enumerate(sections):
        if number in gone:  # an empty place, so that the numbers of the others stay
            section = _Section(0, _NULL, 0, 0, 0, 0, 0, 0, 0, 0)
        elif section in tail:
            parts.append(bytes(-place % max(1, section.align)))
            place += len(parts[-1])
            parts.append(content[section.offset : section.offset + section.size])
            section = replace(section, offset=place)
            place += section.size
        moved.append(section)
    parts.append(bytes(-place % 8))
    header[6] = place + len(parts[-1])
    whole = b"".join([*parts, *(section.packed() for section in moved)])
    return _HEADER.pack(*header) + whole[_HEADER.size :]


def _symbol_sections(sections: list[_Section], names: int) -> set[int]:
    """The numbers of the symbol tables that nothing loads, and of their texts if nothing else uses those.

    Args: names — the number of the section that holds the sections' own names; it stays.
    """
    tables = {
        number
        for number, section in enumerate(sections)
        if section.kind == _SYMTAB and not section.flags & _LOADED
    }
    texts = {sections[number].link for number in tables}
    used = {names} | {section.link for number, section in enumerate(sections) if number not in tables}
    if any(section.stored and section.link in tables for section in sections):
        return set()  # relocations of an object file: it is for linkers
    return tables | {
        number
        for number in texts - used
        if number < len(sections)
        and sections[number].kind == _STRTAB
        and not sections[number].flags & _LOADED
    }


def _debug_sections(sections: list[_Section], content: bytes, names: int) -> set[int]:
    """The numbers of the sections of DWARF, which are known by their names only."""
    if names >= len(sections):
        return set()
    texts = content[sections[names].offset : sections[names].offset + sections[names].size]
    return {
        number
        for number, section in enumerate(sections)
        if texts.startswith((b".debug_", b".zdebug_"), section.name) and not section.flags & _LOADED
    }
