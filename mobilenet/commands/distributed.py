"""`launch`: starts distributed runs."""

from __future__ import annotations

import shlex
import shutil
from argparse import REMAINDER, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Sequence

from mobilenet.commands.arguments import Adder, add_command, count, port


def add_launch(adder: Adder) -> None:
    """Adds `launch`."""
    parser = add_command(adder, "launch", launch)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--local", type=count, metavar="N", help="N workers on this machine")
    where.add_argument(
        "--hosts", type=Path, metavar="FILE", help="hosts, a line each: HOST, HOST:N, HOST slots=N"
    )
    parser.add_argument("--servers", type=count, metavar="N", help="servers (one for each host)")
    parser.add_argument("--port", type=port, help="port of the scheduler (a free one)")
    parser.add_argument(
        "--ssh", type=_words, metavar="COMMAND",
        default="ssh -o BatchMode=yes -o ServerAliveInterval=10",
        help="what runs a command on a host (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "command_line", nargs=REMAINDER, metavar="-- train CONFIG ...",
        help="what each worker runs: train, or a script such as train.py, with its arguments",
    )  # fmt: skip


def launch(arguments: Namespace) -> int:
    """Start a run of several processes, here or on other hosts, and watch them."""
    from mobilenet.compat import environment
    from mobilenet.distributed import cluster
    from mobilenet.distributed.launcher import launch
    from mobilenet.errors import UserError

    script = (
        arguments.command_line[1:]
        if arguments.command_line[:1] == ["--"]
        else arguments.command_line
    )
    command = _python_command(script)
    if command is None:
        raise UserError(
            "what each worker runs must be `train CONFIG`, a Python script, or a command that is"
            " one: ... -- train CONFIG"
        )
    local = [cluster.Host(None, arguments.local or 0)]
    hosts = cluster.read_hosts(arguments.hosts) if arguments.hosts else local
    members = cluster.members(hosts, arguments.servers or len(hosts))
    environments = cluster.environments(members, arguments.port or cluster.free_port())
    environment.unset_environment()
    return launch(
        members,
        [
            cluster.start_command(member, environment, command, arguments.ssh)
            for member, environment in zip(members, environments)
        ],
    )


def _words(text: str) -> list[str]:
    """The words of a command, as a shell splits it."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text}: {error}") from error
    if not words:
        raise ArgumentTypeError("names no command")
    return words


def _python_command(words: Sequence[str]) -> list[str] | None:
    """What Python is started with to run `train`, a script, or such a command as `mobilenet`."""
    if not words:
        return None
    name, *arguments = words
    if Path(name).is_file():
        return [name, *arguments]
    if name == "train":
        return ["-m", "mobilenet", name, *arguments]
    command = shutil.which(name)
    if command is None:
        return None
    with Path(command).open("rb") as file:
        begin = file.read(512)
    is_python = begin.startswith(b"#!") and b"python" in begin
    return [command, *arguments] if is_python else None
