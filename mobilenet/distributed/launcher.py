"""Starts the processes of a run, watches them, and ends all if one fails."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from typing import IO, Iterable, Sequence, TextIO

from mobilenet.distributed.cluster import Member
from mobilenet.distributed.noted_signals import noted_signals

_POLL_SECONDS = 0.1
_HEARTBEAT_SECONDS = 5
# Several may fail at once: the others get time to print their errors.
_GRACE_SECONDS = 5


class _Process:
    """A member of the run that was started."""

    def __init__(self, member: Member, command: Sequence[str]) -> None:
        self.member = member
        pipe = subprocess.PIPE
        # In a session of its own, so that Ctrl-C reaches it only through the launcher.
        self._child = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        self._pumps = [
            self._pump(self._child.stdout, sys.stdout, ""),
            self._pump(self._child.stderr, sys.stderr, f"[{member.name}] "),
        ]

    @staticmethod
    def _pump(source: IO[bytes] | None, target: TextIO, prefix: str) -> threading.Thread:
        assert source is not None, "it was asked for as a pipe"
        thread = threading.Thread(target=_copy_lines, args=(source, target, prefix), daemon=True)
        thread.start()
        return thread

    @property
    def exit_code(self) -> int | None:
        """As a shell reports it, or None while it runs."""
        code = self._child.poll()
        return 128 - code if code is not None and code < 0 else code

    def tell(self, number: int) -> None:
        """Sends it the number of a signal, or 0 as a heartbeat."""
        assert self._child.stdin is not None, "it was asked for as a pipe"
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(f"{number}\n".encode())
            self._child.stdin.flush()

    def end(self) -> None:
        """Ends it, here or on another host, and prints the rest of its output."""
        assert self._child.stdin is not None, "it was asked for as a pipe"
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()  # at which a member ends, on whatever host
        try:
            self._child.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        for pump in self._pumps:
            pump.join(_GRACE_SECONDS)


def _copy_lines(source: IO[bytes], target: TextIO, prefix: str) -> None:
    # If nothing can be written, the pipe is closed; otherwise the member would wait for ever.
    with contextlib.suppress(OSError), source:
        for line in source:
            target.write(prefix + line.decode(errors="replace"))
            target.flush()


def launch(cluster: Sequence[Member], commands: Sequence[Sequence[str]]) -> int:
    """Runs the commands, one for each member, until all workers are done or one member fails.

    SIGTERM and Ctrl-C are passed on to the workers; a second Ctrl-C ends all.

    Args:
        cluster: The processes, from `cluster.members`.
        commands: The command of each, from `cluster.start_command`.

    Returns:
        0, or the exit code of the first member that failed.
    """
    with contextlib.ExitStack() as stack:
        signals: list[int] = []
        # A second Ctrl-C raises KeyboardInterrupt.
        stack.enter_context(noted_signals(signals.append, signal.default_int_handler))
        processes: list[_Process] = []
        stack.callback(_end_all, processes)
        for member, command in zip(cluster, commands):
            processes.append(_Process(member, command))
        return _watch(processes, signals)


def _watch(processes: list[_Process], signals: list[int]) -> int:
    workers = [process for process in processes if process.member.role == "worker"]
    last_heartbeat = 0.0
    handed_on: set[int] = set()
    while any(process.exit_code != 0 for process in workers):
        failed = next((process for process in processes if _has_failed(process)), None)
        if failed is not None:
            return _give_up(failed, processes, handed_on)
        while signals:
            number = signals.pop(0)
            for process in workers:
                process.tell(number)
            handed_on.add(number)
        if time.monotonic() > last_heartbeat + _HEARTBEAT_SECONDS:
            for process in processes:
                process.tell(0)
            last_heartbeat = time.monotonic()
        time.sleep(_POLL_SECONDS)
    return 0


def _has_failed(process: _Process) -> bool:
    return process.exit_code not in (None, 0)


def _give_up(failed: _Process, processes: Iterable[_Process], handed_on: set[int]) -> int:
    """Prints which member failed, and gives the others a moment to end by themselves."""
    code = failed.exit_code
    assert code, "it has failed"
    _say(_ending(failed.member.name, code, handed_on))
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline and any(
        process.exit_code is None for process in processes if process.member.role == "worker"
    ):
        time.sleep(_POLL_SECONDS)
    return code


def _ending(name: str, code: int, handed_on: set[int]) -> str:
    number = code - 128
    if number not in {number.value for number in signal.Signals}:
        return f"{name} ended with exit code {code}; the others are stopped"
    signal_name = signal.Signals(number).name
    if number in handed_on:
        return f"stopped by {signal_name}; continue the run with --resume"
    return (
        f"{name} was ended by {signal_name}; the others are stopped; continue the run with --resume"
    )


def _say(text: str) -> None:
    sys.stderr.write(f"mobilenet launch: {text}\n")
    sys.stderr.flush()


def _end_all(processes: Iterable[_Process]) -> None:
    threads = [threading.Thread(target=process.end) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
