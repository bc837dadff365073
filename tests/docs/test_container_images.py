"""The files for Docker agree with the lock files, the package and the documents."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
DOCKERFILES = [ROOT / "Dockerfile", ROOT / "Dockerfile.cuda"]


def code(path: Path) -> str:
    """The file without comments, its continued lines joined."""
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return re.sub(r" *\\\n *", " ", kept)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_is_copied_exists_and_is_sent_to_the_builder(path: Path) -> None:
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1:-1] for line in code(path).splitlines() if line.startswith("COPY ")]
    assert copied
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists()
        assert f"!{name.split('/')[0]}" in sent


def test_versions_are_those_of_the_lock_files() -> None:
    cpu, cuda = map(code, DOCKERFILES)
    assert "pip install --no-cache-dir --constraint requirements.lock" in cpu
    assert "-r /opt/mobilenet/requirements-gpu.lock" in cuda
    assert not re.search(r"==\d", cpu + cuda)


def test_the_image_for_gpus_is_made_from_the_one_for_cpus() -> None:
    of_cpu, of_cuda = (path.read_text(encoding="utf-8") for path in DOCKERFILES)
    (tag,) = re.findall(r"^#   docker build --tag (\S+) \.$", of_cpu, re.M)
    assert f"\nFROM {tag}\n" in of_cuda
    assert f"docker build --tag {tag} ." in of_cuda
    versions = re.findall(r"python:?(3\.\d+)", code(DOCKERFILES[0]) + code(DOCKERFILES[1]))
    assert len(set(versions)) == 1


def test_what_the_image_leaves_out_is_imported_nowhere() -> None:
    (removed,) = re.findall(r"pip uninstall --yes opencv-python (.+?) &&", code(DOCKERFILES[0]))
    for path in (ROOT / "mobilenet").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {node.module.partition(".")[0]}
            else:
                continue
            assert names.isdisjoint(removed.split()), f"{path} imports what the image lacks"


def pins_for_gpus() -> dict[str, str]:
    lines = (ROOT / "requirements-gpu.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_the_lock_for_gpus_has_what_the_extra_asks_for() -> None:
    pins = pins_for_gpus()
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert f"\nmxnet=={pins.pop('mxnet-cu112')}\n" in lock
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    (extras,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXTRAS"
    )
    assert isinstance(extras, ast.Dict)
    (cuda,) = (
        ast.literal_eval(value)
        for key, value in zip(extras.keys, extras.values)
        if ast.unparse(key or extras) == "'cuda'"
    )
    asked = {one.name: one.specifier for one in map(Requirement, cuda)}
    assert asked.keys() == pins.keys()
    for name, version in pins.items():
        assert asked[name].contains(version), f"{name}=={version}"


def test_the_page_exchanges_mxnet_for_the_locked_build() -> None:
    page = (ROOT / "docs" / "gpus.md").read_text(encoding="utf-8")
    assert f"\npip install --no-deps mxnet-cu112=={pins_for_gpus()['mxnet-cu112']}\n" in page
