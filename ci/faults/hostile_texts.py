"""YAML, JSON and TOML: tags, bombs of anchors, depth, numbers and texts that later steps cannot handle."""

from collections.abc import Iterator

from faults.packing import Named


def yamls(canary: str) -> Iterator[Named]:
    """Python tags, bombs of anchors and merges, and values that constructors cannot handle."""
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
    """Depth, width, numbers and texts that later code cannot handle."""
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
