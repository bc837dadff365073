"""Progress elsewhere than on a terminal is a line now and then."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from mobilenet import progress_bar


def test_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress_bar, "_SECONDS_BETWEEN_LINES", 0.0)
    assert list(progress_bar.watched("abc", "train", 3)) == ["a", "b", "c"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        f"train: {number} of 3 images" for number in (1, 2, 3)
    ]
    assert lines[-1].endswith(" images/s, 00:00 left")


def test_short_work_has_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar.watched(range(1000), "train", 1000)) == list(range(1000))
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal() -> None:
    code = (
        "import fcntl, struct, termios\n"
        "fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('4H', 30, 100, 0, 0))\n"
        "from mobilenet.progress_bar import say, watched\n"
        "[say('a line') for item in watched('ab', 'train', 2)]\n"
    )
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert b"train: 100%" in shown
    assert b"2/2" in shown
    assert shown.count(b"a line\r\n") == 2
