"""What an image must be and say, tried in short containers: one function per promise.  Standard library only.

A check returns what it found, or raises CheckFailed in one line.  The long runs are in image_runs.py.
"""

import hashlib
import re
import subprocess

from checkout import ROOT
from image import Image, expect, good

CPU_LIMIT_GB = 1.6  # what an image of one paper may weigh with the CPU build of torch
# Where an unprivileged user may write: scratch space and the volume.
WRITABLE = ("/tmp", "/var/tmp", "/run/lock", "/var/lock", "/results", "/dev", "/proc")
HASHES = """
import hashlib, pathlib
for path in sorted(pathlib.Path("/opt/cl-repro").rglob("*")):
    if path.is_file():
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.relative_to("/opt/cl-repro"))
"""


def check_help(image: Image) -> str:
    """Without arguments: the help, with the papers that are in the image."""
    said = good(image.run()).stdout
    expect(image.paper in said and "--profile full" in said, f"the help reads {said[:200]!r}")
    return f"{len(said.splitlines())} lines"


def check_unknown_paper(image: Image) -> str:
    """A paper that is not there: one line and code 2."""
    said = good(image.run("nonesuch"), code=2).stderr
    expect(said.count("\n") == 1 and "nonesuch" in said and image.paper in said, f"it said {said!r}")
    return said.strip()


def check_privileges(image: Image) -> str:
    """No root, nothing of the image writable by its user: no program, no package manager, no source."""
    uid = image.program("id", "-u").strip()
    expect(uid == "10001", f"the user is {uid}")
    find = ("/", "-xdev", "-writable", "!", "-type", "l")
    for user in (uid, "12345:54321"):
        # Its exit code only tells that there are folders which this user cannot read.
        listed = image.run(*find, flags=("--entrypoint", "find", "--user", user)).stdout.splitlines()
        expect("/results" in listed, f"user {user} cannot write results")
        bad = [path for path in listed if not path.startswith(WRITABLE)]
        expect(not bad, f"user {user} may write {', '.join(bad[:5])}")
    return f"uid {uid}"


def check_no_secrets(image: Image) -> str:
    """Neither pip's settings nor an address of theirs is in the image or in what it tells of its making."""
    places = ("/etc/pip.conf", "/run/ca.pem", "/run/secrets", "/var/cache/pip")
    test = ("--entrypoint", "test")
    leftovers = [place for place in places if image.run("-e", place, flags=test).returncode == 0]
    told = good(image.engine.call("history", "--no-trunc", image.tag)).stdout
    told += good(image.engine.call("inspect", image.tag)).stdout
    conf = image.engine.folder / "pip.conf"
    words = conf.read_text(encoding="utf-8").split() if conf.exists() else []
    hosts = {host for word in words if (host := word.partition("//")[2].partition("/")[0])}
    found = sorted(host for host in hosts if host in told)
    expect(not found and not leftovers, f"the image has {', '.join([*leftovers, *found])}")
    return f"{len(hosts)} addresses looked for"


def check_source(image: Image) -> str:
    """The source in the image is the tree's, file by file."""
    lines = image.program("python3", "-c", HASHES).splitlines()
    inside = {name: digest for digest, _, name in (line.partition(" ") for line in lines)}
    papers = sorted({name.split("/")[1] for name in inside if name.startswith("papers/")})
    tree = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in source_files(papers)}
    different = sorted(name for name in tree if inside.get(name) != tree[name])
    foreign = sorted(name for name in set(inside) - set(tree) if not (ROOT / name).is_file())
    expect(not different, f"{len(different)} files are missing or old, such as {different[:3]}")
    expect(not foreign, f"{len(foreign)} files are not the tree's, such as {foreign[:3]}")
    return f"{len(tree)} files"


def source_files(papers: list[str]) -> list[str]:
    """The files of the checkout that an image of `papers` must hold, as git lists them."""
    folders = ["core/src", "ci/baselines", "docker/entrypoint.sh", *(f"papers/{paper}" for paper in papers)]
    command = ["git", "ls-files", "-z", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    left_out = re.compile(r"papers/[^/]+/(tests|results)/")
    names = [name for name in listed.stdout.split("\0") if name and not left_out.match(name)]
    return [name for name in names if (ROOT / name).is_file()]


def check_size(image: Image) -> str:
    """An image of one paper with the CPU build of torch is small."""
    n_bytes = int(good(image.engine.call("image", "inspect", "--format", "{{.Size}}", image.tag)).stdout)
    torch = image.run(image.paper, "python", "-c", "import torch; print(torch.__version__)").stdout.strip()
    expect("+cpu" not in torch or n_bytes <= CPU_LIMIT_GB * 1e9, f"{n_bytes / 1e9:.2f} GB is too large")
    return f"{n_bytes / 1e9:.2f} GB with torch {torch}"
