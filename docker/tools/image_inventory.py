"""The list of what an image holds and under which licence, written beside it.  Standard library only."""

import json
import tomllib
from typing import Any

from checkout import ROOT
from image import Image, commit, expect, good

BESIDE = ROOT / "results" / "images"
_CLASSIFIER = "License :: "
_LONG = 60  # a licence field with more letters than this is a whole text, not a name
# The environments in the image, and how many packages each has by the folders that pip keeps of them.
ENVIRONMENTS = """
import json, pathlib
places = sorted(pathlib.Path("/opt/venv").iterdir())
print(json.dumps({place.name: len(list(place.glob("lib/*/site-packages/*.dist-info"))) for place in places}))
"""


def check_inventory(image: Image) -> str:
    """Every package is in the inventory that is kept in the image; written beside it, with the licences."""
    found = json.loads(image.program("python3", "-c", ENVIRONMENTS))
    kept = {name: image.program("cat", f"/opt/venv/{name}/inventory.json") for name in found}
    inventories = {name: json.loads(text) for name, text in kept.items()}
    for name, n_own in found.items():
        # A paper's environment tells of the packages in the common one too.
        n_told = len(inventories[name]["installed"]) - (found["common"] if name != "common" else 0)
        expect(n_told == n_own, f"{name}: {n_own} packages are there, {n_told} in its inventory")
    packages = distinct(inventories)
    system = image.program("dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n").splitlines()
    BESIDE.mkdir(parents=True, exist_ok=True)
    name = image.tag.replace(":", "-")
    whole = json.dumps({"environments": inventories, "debian": system}, indent=1)
    (BESIDE / f"{name}.inventory.json").write_text(whole + "\n", encoding="utf-8")
    table = licence_table(name, packages, system)
    (BESIDE / f"{name}.licences.md").write_text(table, encoding="utf-8")
    unknown = [package["name"] for package in packages if not licence(package)]
    silent = f", {len(unknown)} of unknown licence: {', '.join(unknown)}" if unknown else ""
    return f"{len(packages)} Python and {len(system)} Debian packages{silent}; {BESIDE / name}.*"


def check_labels(image: Image) -> str:
    """The labels of the Open Container Initiative: version and commit of the checkout."""
    inspect = ("image", "inspect", "--format", "{{json .Config.Labels}}", image.tag)
    labels = json.loads(good(image.engine.call(*inspect)).stdout) or {}
    prefix = "org.opencontainers.image."
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    wanted = {"version": version, "revision": commit(), "licenses": "Apache-2.0", "title": "cl-repro"}
    for name, value in wanted.items():
        given = labels.get(prefix + name)
        expect(given == value, f"label {prefix}{name} is {given!r}, not {value!r}")
    return f"version {version}, revision {commit()[:12]}"


def distinct(inventories: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The metadata of all packages in `inventories` (pip inspect's documents), each once, by name."""
    found = {
        (package["metadata"]["name"].lower(), package["metadata"]["version"]): package["metadata"]
        for inventory in inventories.values()
        for package in inventory["installed"]
    }
    return [found[key] for key in sorted(found)]


def licence(metadata: dict[str, Any]) -> str:
    """The licence that a package's `metadata` names; empty if it names none."""
    if expression := metadata.get("license_expression"):
        return str(expression)
    written = str(metadata.get("license", "")).strip()
    if written and written.upper() != "UNKNOWN" and len(written) <= _LONG and "\n" not in written:
        return written
    classifiers = [text for text in metadata.get("classifier", []) if text.startswith(_CLASSIFIER)]
    names = [text.rpartition(" :: ")[2] for text in classifiers]
    return ", ".join(names) or written.partition("\n")[0][:_LONG].strip().replace("UNKNOWN", "")


def licence_table(title: str, packages: list[dict[str, Any]], system: list[str]) -> str:
    """A page with `packages` and their licences, and the Debian packages of the base."""
    lines = [f"# Licences of what is in {title}", "", "| package | version | licence |", "|---|---|---|"]
    for package in packages:
        named = licence(package).replace("|", "/") or "not named"
        lines.append(f"| {package['name']} | {package['version']} | {named} |")
    lines += ["", f"The base has {len(system)} Debian packages, each with its licence in the file"]
    lines += ["/usr/share/doc/NAME/copyright (a base that docker/tools makes leaves these files out):", ""]
    return "\n".join([*lines, *(f"- {package}" for package in system), ""])
