"""Plans the processes of a run on some hosts, and the command that starts each of them."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Collection, Mapping, Sequence

from mobilenet.errors import ConfigError, UserError

# Environment variables with these prefixes are passed on to other hosts.
_PASSED_ON = ("MXNET_", "OMP_", "DNNL_", "PS_")
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Host:
    """A machine and its number of workers; the name None is this machine, without ssh."""

    name: str | None
    num_workers: int

    @property
    def address(self) -> str:
        """Its IP address: MXNet takes no names, and may choose the wrong network interface.

        Raises:
            UserError: The name is unknown.
        """
        if self.name is None:
            return _LOOPBACK
        try:
            return socket.gethostbyname(self.name)
        except OSError as error:
            raise UserError(f"host '{self.name}': no address ({error.strerror})") from error
        except UnicodeError as error:
            raise UserError(f"host '{self.name}': no address ({error})") from error


@dataclass(frozen=True)
class Member:
    """A process of the run: its role, its number within the role, and its host."""

    role: str
    number: int
    host: Host

    @property
    def name(self) -> str:
        """Its name in messages."""
        name = self.role if self.role == "scheduler" else f"{self.role} {self.number}"
        return name if self.host.name is None else f"{name} on {self.host.name}"


def read_hosts(path: Path) -> list[Host]:
    """The hosts in a file like mpirun's, with lines `name`, `name:2` or `name slots=2`.

    Raises:
        ConfigError: It is no text, a line has another form, or there is no host.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text with one host per line") from error
    hosts = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        match = re.fullmatch(r"([^\s:=]+)(?:(?::|\s+slots\s*=\s*)([1-9]\d*))?", text)
        if match is not None:
            hosts.append(Host(match[1], int(match[2] or 1)))
        elif text:
            raise ConfigError(
                f"{path}:{number}: '{text}' is not of the form HOST, HOST:N or HOST slots=N"
            )
    if not hosts:
        raise ConfigError(f"{path}: no host")
    return hosts


def members(hosts: Sequence[Host], num_servers: int) -> list[Member]:
    """The scheduler, the servers, and the workers numbered in the order of the hosts."""
    hosts_of_workers = [host for host in hosts for _ in range(host.num_workers)]
    hosts_of_servers = [hosts[number % len(hosts)] for number in range(num_servers)]
    return [
        Member("scheduler", 0, hosts[0]),
        *(Member("server", number, host) for number, host in enumerate(hosts_of_servers)),
        *(Member("worker", number, host) for number, host in enumerate(hosts_of_workers)),
    ]


def environments(cluster: Sequence[Member], port: int) -> list[dict[str, str]]:
    """The environment variables of MXNet's parameter server, for each process.

    Raises:
        UserError: A host has no address, or other hosts cannot reach it by its address.
    """
    _check_reachable({member.host for member in cluster})
    roles = [member.role for member in cluster]
    common = {
        "DMLC_PS_ROOT_URI": cluster[0].host.address,
        "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": str(roles.count("worker")),
        "DMLC_NUM_SERVER": str(roles.count("server")),
    }
    return [
        {
            **common,
            "DMLC_ROLE": member.role,
            "DMLC_TASK_ID": str(member.number),
            "DMLC_NODE_HOST": member.host.address,
            "MOBILENET_LOCAL_SIZE": str(member.host.num_workers),
        }
        for member in cluster
    ]


def _check_reachable(hosts: Collection[Host]) -> None:
    for host in hosts:
        # In Debian's /etc/hosts a machine's own name has the address 127.0.1.1.
        if len(hosts) > 1 and host.address.startswith("127."):
            raise UserError(
                f"host '{host.name}' has the address {host.address}, by which no other host reaches"
                " it: name it by its address in their network"
            )


def start_command(
    member: Member, environment: Mapping[str, str], command: Sequence[str], ssh: Sequence[str]
) -> list[str]:
    """The command that starts a process on its host, in this folder and with this Python."""
    arguments = command if member.role == "worker" else ()
    python = [sys.executable, "-m", "mobilenet.distributed.launched_process", *arguments]
    if member.host.name is None:
        return ["env", *_assignments(environment), *python]
    known = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    there = shlex.join(["env", *_assignments({**known, **environment}), *python])
    return [*ssh, member.host.name, f"cd {shlex.quote(str(Path.cwd()))} && exec {there}"]


def _assignments(environment: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]


def free_port() -> int:
    """A port that is not in use on this machine."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
    return port
