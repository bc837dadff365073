"""A mistake in every setting there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from told import assert_told

from mobilenet import cli, settings
from mobilenet.errors import ConfigError
from mobilenet.settings.schema import Config

ENTRIES = [entry for entry in settings.documentation(Config) if "." in entry.key]
KEYS = [entry.key for entry in ENTRIES]
FREE_TEXTS = {"data.directory", "training.initial_weights", "distillation.teacher"}
OTHERS = [entry for entry in ENTRIES if entry.key not in FREE_TEXTS]
BOUNDED = [entry for entry in OTHERS if re.search("at least|above", entry.type)]


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings.loads(Config, text, "my.yaml", overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def value_of(entry: settings.SettingDoc, item: str) -> str:
    """The item as a value of the setting: in a list as long as the setting's, if it is one."""
    size = re.match(r"(?:null or )?a list(?: of (\d))?,", entry.type)
    return f"[{', '.join([item] * int(size[1] or 1))}]" if size else item


@pytest.mark.parametrize("key", KEYS)
def test_every_mistyped_name_is_recognised(key: str) -> None:
    section, name = key.split(".")
    for wrong in (name[:-1] or "x", name.upper(), f"{name}s", name.replace("_", "-") + "x"):
        told = refusal(f"\n{section}:\n  {wrong}: 1")
        assert told == f"my.yaml:3: {_shown(section, wrong)}: unknown key; did you mean '{name}'?"
        assert_told(told, "a mistyped name of a setting")
    told = refusal("", f"{section[:-1]}.{name}=1")
    assert told.endswith(f"unknown key; did you mean '{section}'?")


def _shown(section: str, name: str) -> str:
    return f"{section}.{name if name.isidentifier() else repr(name)}"


@pytest.mark.parametrize("entry", OTHERS, ids=[entry.key for entry in OTHERS])
def test_every_mistyped_value_is_named(entry: settings.SettingDoc) -> None:
    section, name = entry.key.split(".")
    # Devices are free texts in a list: only something that is no list can be seen to be wrong.
    item = value_of(entry, "nonsense") if entry.key != "training.devices" else "nonsense"
    told = refusal(f"{section}:\n  {name}: {item}")
    assert told.startswith(f"my.yaml:2: {entry.key}")
    assert "nonsense" in told
    assert_told(told.split("; did you mean")[0], "a mistyped value of a setting")


@pytest.mark.parametrize("entry", BOUNDED, ids=[entry.key for entry in BOUNDED])
def test_every_value_out_of_range_is_named(entry: settings.SettingDoc) -> None:
    told = refusal("", f"{entry.key}={value_of(entry, '-1')}")
    assert entry.key in told
    assert re.search("(at least|above) .*, not '-1'", told)


def test_a_setting_is_given_twice_or_idle_or_out_of_range() -> None:
    assert_told(refusal("log: {every_steps: 0}"), "a setting out of its range")
    twice = refusal("log:\n  every_steps: 1\n  every_steps: 2")
    assert_told(twice, "a setting given twice")
    assert_told(refusal("schedule: {power: 2}"), "a setting without effect")
    never = refusal("checkpoint: {every_epochs: 2, keep_every_epochs: 5}")
    assert never.endswith("keep_every_epochs: must be a multiple of every_epochs (=2)")


@pytest.mark.parametrize(
    ("call", "situation"),
    [
        (["train", "none.yaml"], "no such configuration"),
        (["train", "configs\\none.yaml"], "folders separated by backslashes"),
        (["train", "utf16.yaml"], "a configuration in UTF-16"),
    ],
)
def test_configurations_that_cannot_be_read(
    call: list[str],
    situation: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("utf16.yaml").write_text("model: {classes: 3}\r\n", encoding="utf-16")
    assert cli.main(call) == 2
    assert_told(capsys.readouterr().err, situation)


@pytest.mark.parametrize("call", [["train", "x.yaml", "--runn"], ["verify", "x", "--quick"]])
def test_an_unknown_option_is_one_line(call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(call)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert_told(error, "an unknown option")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_configuration_of_windows_is_read(mark: bytes, tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(mark + b"model:\r\n  classes: 3\r\ndata:\r\n  directory: a b\r\n")
    config = settings.load(Config, path)
    assert (config.model.classes, config.data.directory) == (3, "a b")
    path.write_bytes(mark + b"model:\r\n  clases: 3\r\n")
    with pytest.raises(ConfigError, match=r"windows\.yaml:2: model\.clases: unknown key"):
        settings.load(Config, path)
