"""What docs/distributed.md offers to be copied is well-formed, and its model is computed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

TEXT = (Path(__file__).parent.parent.parent / "docs" / "distributed.md").read_text(encoding="utf-8")
GRADIENT_BYTES = 3_504_872 * 4
IMAGES_PER_STEP = 256
LINKS = (10, 25, 100)


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)
    assert found
    return found


@pytest.mark.parametrize("block", blocks("bash"))
def test_shell_scripts_parse(block: str) -> None:
    done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_kubernetes_resources_parse() -> None:
    for block in blocks("yaml"):
        resource = yaml.safe_load(block)
        for replicas in resource["spec"]["mpiReplicaSpecs"].values():
            pod = replicas["template"]["spec"]
            volumes = {volume["name"] for volume in pod["volumes"]}
            for container in pod["containers"]:
                assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
                if container["command"] == ["sh", "-c"]:
                    subprocess.run(["sh", "-n"], input=container["args"][0], text=True, check=True)


def modelled(num_bytes: float) -> list[str]:
    """The three cells of a row for what a link carries in a step."""
    milliseconds = [num_bytes * 8 / (link * 1e6) for link in LINKS]
    limits = [IMAGES_PER_STEP / (each / 1000) for each in milliseconds]
    return [
        f"{num_bytes / 1e6:.1f}",
        " / ".join(f"{each:.1f}" for each in milliseconds),
        " / ".join(f"{each:,.0f}" for each in limits),
    ]


@pytest.mark.parametrize("num_workers", [8, 16, 32, 64])
def test_the_model_is_computed(num_workers: int) -> None:
    ring = modelled(2 * GRADIENT_BYTES * (num_workers - 1) / num_workers)
    one_server = modelled(num_workers * GRADIENT_BYTES)
    assert f"| {' | '.join([str(num_workers), *ring, *one_server])} |\n" in TEXT
