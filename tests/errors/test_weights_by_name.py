"""Mistakes with published weights, and hosts that do not give them."""

from __future__ import annotations

from pathlib import Path

import pytest
from told import assert_told
from weight_server import Answer, WeightServer, zipped

from mobilenet.cli import main
from mobilenet.pretrained import download

NAME = "gluoncv/mobilenetv2_1.0"
ADDRESS = "/gluon/models/mobilenetv2_1.0-f9952bcd.zip"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says, which ends with exit code 2."""
    assert main(words) == 2
    return capsys.readouterr().err


def test_hosts_without_the_weights(
    server: WeightServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_RETRY", download._RETRY.new(backoff_factor=0.01))
    call = ("validate", NAME, "--expect", "published")
    assert_told(said(capsys, *call), "weights that cannot be downloaded")
    for content, situation in (
        (zipped("mobilenetv2_1.0-f9952bcd.params", b"others"), "weights that came damaged"),
        (b"<html>Please log in</html>", "a login page instead of weights"),
    ):
        server.answers[ADDRESS] = Answer(content)
        assert_told(said(capsys, *call), situation)


def test_offline(
    server: WeightServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBILENET_OFFLINE", "")  # so that what the option sets is taken back
    text = said(capsys, "predict", NAME, "no.jpg", "--offline")
    assert server.asked == []
    if "no.jpg" in text:  # the images are looked for first
        text = said(capsys, "export", NAME, "--offline")
    assert_told(text, "weights without the network")


def test_names(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "export", "gluoncv/mobilenet_v2_1.0")
    assert_told(text, "a mistyped name of weights")
    assert_told(said(capsys, "export", "nothing"), "no such model")


def test_another_network(
    job: Path, server: WeightServer, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = f"training.initial_weights={NAME}"
    text = said(capsys, "train", str(job / "mein Lauf.yaml"), "--run", "no-run", weights,
                f"data.directory={job / 'Aufnahmen ü'}")  # fmt: skip
    assert_told(text, "weights of another network")
    assert server.asked == []  # told before anything is downloaded
