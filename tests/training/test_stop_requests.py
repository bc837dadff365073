"""Stop requests, with real signals to this process and to others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from mobilenet.training.stop_requests import stop_requests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with stop_requests() as stop:
        assert stop.number is None
        os.kill(os.getpid(), number)
        assert stop.number == number
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    """As in a job that a script starts in the background, which SIGTERM still stops."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_requests() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.number is None
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.number == signal.SIGTERM
            os.kill(os.getpid(), signal.SIGINT)  # does not end the process
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


SLEEP = """
import time
from mobilenet.training.stop_requests import stop_requests
with stop_requests() as stop:
    print("ready", flush=True)
    while stop.number is None:
        time.sleep(0.01)
    print("noted", flush=True)
    time.sleep(60)
"""


def test_a_second_ctrl_c_ends_the_process() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEP], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "noted\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=10) == -signal.SIGINT


def test_other_threads_note_nothing() -> None:
    seen = []

    def enter() -> None:
        with stop_requests() as stop:
            seen.append(stop.number)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [None]
