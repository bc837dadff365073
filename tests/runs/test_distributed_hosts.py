"""Two hosts, which are two network namespaces of this machine: each has a network of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
from several import (
    ENGINES,
    SEPARABLE,
    largest_difference,
    parameters,
    records,
    watched_train,
)
from tiny_run import write_records

pytestmark = pytest.mark.slow

HOSTS = ("10.77.0.1", "10.77.0.2")
NAMES = Path("/etc/netns")

# Runs a command where ssh would; options may follow the host too.
SSH = """#!/bin/sh
host=
while [ "${1#-}" != "$1" ] || [ -z "$host" ]; do
  case "$1" in -o | -p | -i) shift ;; -*) ;; *) host=$1 ;; esac
  shift
done
exec ip netns exec "$host" sh -c "$*"
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[str, str]]:
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip (iproute2)")
    try:
        for host in HOSTS:
            ip("netns", "add", host)
        ip("link", "add", "eth0", "netns", HOSTS[0], "type", "veth", "peer", "eth0", "netns", HOSTS[1])  # fmt: skip  # noqa: E501
        for host in HOSTS:
            ip("-n", host, "address", "add", f"{host}/24", "dev", "eth0")
            ip("-n", host, "link", "set", "eth0", "up")
            ip("-n", host, "link", "set", "lo", "up")
            # Stands for /etc/hosts there: Gloo takes the address that a host's name resolves to.
            (NAMES / host).mkdir(parents=True)
            (NAMES / host / "hosts").write_text(
                f"127.0.0.1 localhost\n{host} {socket.gethostname()}\n"
            )
        yield HOSTS
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this machine makes no network namespaces: {error.stderr.decode().strip()}")
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)
            shutil.rmtree(NAMES / host, ignore_errors=True)


def launcher(engine: str, folder: Path) -> list[str]:
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "ssh").write_text(SSH)
    (folder / "bin" / "ssh").chmod(0o755)
    (folder / "hosts").write_text("\n".join(HOSTS))
    if engine == "kvstore":
        ssh = str(folder / "bin" / "ssh")
        return [sys.executable, "-m", "mobilenet", "launch", "--hosts", "hosts", "--ssh", ssh, "--"]
    path = f"PATH={folder / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin"
    here = ["ip", "netns", "exec", HOSTS[0], "env", path]
    run = [sys.executable, "-m", "mobilenet.distributed.horovodrun", "--gloo", "-np", "2"]
    return [*here, *run, "-H", ",".join(f"{host}:1" for host in HOSTS), sys.executable]


@pytest.mark.parametrize("engine", ENGINES)
def test_as_one_process(hosts: tuple[str, str], tmp_path: Path, engine: str) -> None:
    write_records(tmp_path / "records")
    alone = watched_train(tmp_path, "alone", [sys.executable], True, *SEPARABLE)
    settings = (f"distributed.engine={engine}", "distributed.workers=2", *SEPARABLE)
    several = watched_train(tmp_path, engine, launcher(engine, tmp_path), True, *settings)
    for rank in range(2):
        assert largest_difference(parameters(several, rank), parameters(alone, 0)) < 1e-5
    assert records(several) == records(alone)
