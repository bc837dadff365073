"""Every line of the page for users of torchvision, timm and Keras is one that works here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mobilenet import cli, settings
from mobilenet.errors import ConfigError
from mobilenet.settings import SettingError
from mobilenet.settings.schema import Config
from mobilenet.settings.shipped import shipped

PAGE = Path(__file__).parent.parent.parent / "docs" / "from_pytorch_and_keras.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("| ").split(" | "))
    for line in TEXT.splitlines()
    if line.startswith("| `")
]
KEYS = settings.key_names(Config)


def given(cell: str) -> list[str]:
    """The settings that a cell names, as a shell hands them over."""
    return [shlex.split(code)[0] for code in re.findall(r"`('?[a-z]+\.\w+=[^`]+)`", cell)]


def wrong_with(setting: str) -> ConfigError | None:
    """The mistake in a setting; that it has an effect only beside others is none."""
    try:
        settings.loads(Config, "", "", [setting])
    except ConfigError as error:
        return None if isinstance(error.__cause__, SettingError) else error
    return None


def commands() -> list[str]:
    fenced = re.findall(r"```console\n(.*?)```", TEXT, re.S)
    lines = [line for block in fenced for line in block.splitlines()]
    return [*lines, *re.findall(r"`(mobilenet [a-z]+ [^`]+|python \w+\.py [^`]+)`", TEXT)]


def test_the_page_is_read() -> None:
    assert len(ROWS) > 70
    assert len(commands()) > 12


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_settings_are_right(row: tuple[str, str]) -> None:
    for setting in given(row[1]):
        assert wrong_with(setting) is None


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_who_types_their_option_is_told_the_same_setting(row: tuple[str, str]) -> None:
    documented = [text.partition("=")[0] for text in given(row[1])]
    for option in re.findall(r"`(--?[a-z][\w-]*)", row[0]):
        meant = settings.keys_meant(option, KEYS)
        assert not (documented and meant) or set(meant) & set(documented), option


@pytest.mark.parametrize("line", commands())
def test_commands_are_understood(line: str) -> None:
    words = shlex.split(line)
    command = words[1].removesuffix(".py") if words[0] == "python" else words[1]
    if len(words) > 2 or words[0] == "mobilenet":
        assert cli._parse(cli._parser(), [command, *words[2:]]).command == command


def test_the_recipe_of_torchvision_is_a_configuration() -> None:
    (line,) = (one for one in commands() if "imagenet/mobilenetv2_1.0" in one)
    parsed = cli._parse(cli._parser(), shlex.split(line)[1:])
    config = settings.load(Config, shipped(parsed.config), parsed.settings)
    assert (config.schedule.name, config.schedule.factor) == ("exponential", 0.98)
    assert (config.training.epochs, config.training.batch_size) == (300, 256)
