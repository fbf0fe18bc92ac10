"""What an image must be and say, tried in short containers: one function per promise.  Standard library only.

A check returns what it found, or raises CheckFailed in one line.  The long runs are in image_runs.py.
"""

import hashlib
import re
import subprocess

from checkout import ROOT
from image import Image, expect, good

# What an image may weigh, GB, with the CPU build of torch; `all` has no limit of its own.
CPU_LIMITS_GB = {"mer": 1.1, "ta_agem": 1.6, "rewire": 2.5, "tag": 3.0, "hvcl": 3.5}
# Where an unprivileged user may write: scratch space and the volume.
WRITABLE = ("/tmp", "/var/tmp", "/run/lock", "/var/lock", "/results", "/dev", "/proc")
# Each framework that is there says what it computes on, and computes; each simulator makes a step.
DEVICES = """
import importlib.util as there
if there.find_spec("torch"):
    import torch
    print("torch", torch.__version__, "GPUs:", torch.cuda.device_count(), float(torch.ones(3).sum()))
if there.find_spec("jax"):
    import jax
    print("jax", jax.__version__, "devices:", jax.devices(), float(jax.numpy.ones(3).sum()))
if there.find_spec("tensorflow"):
    import tensorflow as tf
    found = len(tf.config.list_physical_devices("GPU"))
    print("tensorflow", tf.__version__, "GPUs:", found, float(tf.reduce_sum(tf.ones(3))))
if there.find_spec("brax"):
    from brax import envs
    env = envs.get_environment("fast")
    state = env.step(env.reset(jax.random.PRNGKey(0)), jax.numpy.zeros(env.action_size))
    cheetah = envs.get_environment("halfcheetah", backend="spring")
    print("brax:", state.obs.shape, "observed; halfcheetah has", cheetah.action_size, "joints")
if there.find_spec("metaworld"):
    import metaworld
    env = metaworld.ALL_V3_ENVIRONMENTS["reach-v3"]()
    env.set_task(metaworld.MT1("reach-v3", seed=0).train_tasks[0])
    env.reset()
    print("metaworld on mujoco:", len(env.step(env.action_space.sample() * 0)[0]), "observed")
if there.find_spec("pybullet_envs_gymnasium"):
    import gymnasium, pybullet_envs_gymnasium
    env = gymnasium.make("HopperBulletEnv-v0")
    env.reset(seed=0)
    print("pybullet:", len(env.step(env.action_space.sample() * 0)[0]), "observed")
"""
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


def check_devices(image: Image) -> str:
    """Every framework and simulator starts without a GPU and a display, says so, and computes on the CPU."""
    said, locked = [], ("--read-only", "--tmpfs", "/tmp")
    for paper in image.papers:
        done = good(image.run(paper, "python", "-W", "ignore", "-c", DEVICES, flags=locked))
        lines = done.stdout.strip().splitlines()
        expect(bool(lines), f"{paper} has no framework")
        wrong = [line for line in lines if "GPUs:" in line and "GPUs: 0 3.0" not in line]
        wrong += [line for line in lines if "devices:" in line and "CpuDevice" not in line]
        expect(not wrong, f"without a GPU: {wrong}")
        said += lines
    return "; ".join(dict.fromkeys(said))


def check_size(image: Image) -> str:
    """An image of one paper with the CPU build of torch is small."""
    n_bytes = int(good(image.engine.call("image", "inspect", "--format", "{{.Size}}", image.tag)).stdout)
    torch = image.run(image.paper, "python", "-c", "import torch; print(torch.__version__)").stdout.strip()
    limit = CPU_LIMITS_GB.get(image.papers[0], 0.0) if len(image.papers) == 1 else 0.0
    image.figures["size"] = f"{n_bytes / 1e9:.2f} GB"
    small = not limit or "+cpu" not in torch or n_bytes <= limit * 1e9
    expect(small, f"{n_bytes / 1e9:.2f} GB is more than {limit} GB")
    return f"{n_bytes / 1e9:.2f} GB with torch {torch}"
