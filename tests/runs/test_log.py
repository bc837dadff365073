"""The log: whole records in the file, lines or a bar for people."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from mobilenet.errors import UserError
from mobilenet.runs.log import RunLog


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_event_is_a_record_and_a_line(tmp_path: Path) -> None:
    stream = io.StringIO()
    log = RunLog(tmp_path / "log.jsonl", stream=stream)
    log.write("epoch", "epoch 1 is over", step=3, top1=0.5)
    log.record("checkpoint", step=3)
    log.close()
    first, second = records(tmp_path / "log.jsonl")
    assert (first["event"], first["step"], first["top1"]) == ("epoch", 3, 0.5)
    assert second["event"] == "checkpoint"
    assert stream.getvalue() == "epoch 1 is over\n"


def test_progress_is_a_line_where_there_is_no_terminal(tmp_path: Path) -> None:
    stream = io.StringIO()
    log = RunLog(tmp_path / "log.jsonl", stream=stream)
    log.start_bar("epoch 1/2", total=10, done=0)
    log.advance_bar("")
    log.progress("loss 1.5", "1.5", step=1)
    log.close()
    assert stream.getvalue() == "epoch 1/2: loss 1.5\n"


def test_progress_moves_a_bar_on_a_terminal(tmp_path: Path) -> None:
    stream = Terminal()
    log = RunLog(tmp_path / "log.jsonl", stream=stream)
    log.start_bar("epoch 1/2", total=10, done=4)
    log.advance_bar("")
    log.progress("loss 1.5", "1.5%", step=5)
    log.close()
    assert "epoch 1/2" in stream.getvalue()
    assert "5/10" in stream.getvalue()
    assert "1.5%" in stream.getvalue()
    assert "loss" not in stream.getvalue()
    assert records(tmp_path / "log.jsonl")[0]["event"] == "progress"


def test_half_a_line_of_a_killed_process_spoils_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "start"}\n{"event": "prog', encoding="utf-8")
    log = RunLog(path, stream=io.StringIO())
    log.record("resume")
    log.close()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[1] == '{"event": "prog'
    assert json.loads(lines[2])["event"] == "resume"


def test_whole_lines_are_continued_without_a_gap(tmp_path: Path) -> None:
    for step in range(3):
        log = RunLog(tmp_path / "log.jsonl", stream=io.StringIO())
        log.record("resume", step=step)
        log.close()
    assert [record["step"] for record in records(tmp_path / "log.jsonl")] == [0, 1, 2]


def test_records_are_in_the_file_at_once(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl", stream=io.StringIO())
    log.record("progress", step=1)
    assert records(tmp_path / "log.jsonl")[0]["step"] == 1
    log.close()


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboardX.event_file_writer")
    assert loader
    log = RunLog(tmp_path / "log.jsonl", tmp_path / "board", stream=io.StringIO())
    log.record("progress", step=7, loss=1.25, split="val")
    log.close()
    (file,) = (tmp_path / "board").iterdir()
    assert b"progress/loss" in file.read_bytes()


def test_missing_tensorboard_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"^log.tensorboard: the package tensorboardX is missing"):
        RunLog(tmp_path / "log.jsonl", tmp_path / "board")
