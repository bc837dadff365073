"""The files for Docker and conda agree with the lock file, the package and each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
DOCKERFILES = [ROOT / "Dockerfile", ROOT / "Dockerfile.cuda"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


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


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_versions_are_those_of_the_lock_file(path: Path) -> None:
    text = code(path)
    assert "pip install --no-cache-dir --constraint requirements.lock" in text
    for name, version in re.findall(r"([\w-]+)==([\w.]+)", text):
        assert f"\n{name.removesuffix('-cu112')}=={version}" in LOCK


@pytest.mark.parametrize("path", [*DOCKERFILES, ROOT / "environment.yml"], ids=lambda p: p.name)
def test_python_is_a_supported_one(path: Path) -> None:
    versions = set(re.findall(r"python[:=]?(3\.\d+)", code(path)))
    assert len(versions) == 1
    assert versions <= {f"3.{minor}" for minor in range(9, 15)}


def test_the_images_differ_in_mxnet_alone() -> None:
    def steps(path: Path) -> list[str]:
        return code(path).split("WORKDIR /opt/mobilenet")[1].splitlines()

    cpu, cuda = map(steps, DOCKERFILES)
    different = [(one, other) for one, other in zip(cpu, cuda) if one != other]
    assert len(cpu) == len(cuda)
    ((one, other),) = different
    assert other.startswith(one)
    assert other.endswith("mxnet-cu112==1.9.1")


def test_conda_installs_the_lock_file_and_the_package() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (by_pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert by_pip == ["-r requirements.lock", "-e ."]


@pytest.mark.parametrize("page", ["README.md", "docs/troubleshooting.md"])
def test_a_page_exchanges_mxnet_as_the_image_does(page: str) -> None:
    steps = re.search(r"&& (pip uninstall.*)&& (pip install.*)", code(DOCKERFILES[1]))
    assert steps
    for step in steps.groups():
        assert f"`{step.strip().replace('--no-cache-dir ', '')}`" in (ROOT / page).read_text()
