"""What is read, what is written and what the reference says."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from settings_schema import Crop, Model, Required, Schedule, Settings

from mobilenet.settings import SettingDoc, documentation, dump, load, loads
from mobilenet.settings.field_types import Range


def value(line: str, *overrides: str) -> Settings:
    return loads(Settings, line, "run.yaml", overrides)


# What is read


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "null", "~", "{}", "\ufeff"])
def test_a_text_without_settings_is_all_defaults(text: str) -> None:
    assert value(text) == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4e-5", 4e-5), ("1e5", 1e5), ("1E+5", 1e5), ("1", 1.0), ("-0", 0.0), (".5", 0.5),
        ("5.", 5.0), ("+1.5", 1.5), ("1_000.25", 1000.25), ("0010", 10.0),
    ],
)  # fmt: skip
def test_numbers(text: str, expected: float) -> None:
    rate = value(f"schedule: {{rate: {text}}}").schedule.rate
    assert rate == expected
    assert type(rate) is float


@pytest.mark.parametrize(
    ("text", "expected"), [("1_000", 1000), ("+3", 3), ("9" * 30, int("9" * 30))]
)
def test_integers(text: str, expected: int) -> None:
    classes = value(f"model: {{classes: {text}}}").model.classes
    assert classes == expected
    assert type(classes) is int


@pytest.mark.parametrize(
    "text", ["yes", "on", "1e5", "1:30", "0x10", "2001-01-01", "'null'", '""', "a#b"]
)
def test_the_type_of_the_field_makes_it_text(text: str) -> None:
    assert value(f"directory: {text}").directory == text.strip("'\"")


@pytest.mark.parametrize("text", ["", "null", "~", "Null", "NULL"])
def test_null_is_the_absence_of_an_optional_value(text: str) -> None:
    assert value(f"model: {{note: {text}}}").model.note is None
    assert value(f"crop: {text}").crop is None


def test_choices_are_compared_as_text() -> None:
    model = value("model: {dialect: on, opset: 9, bias: false}").model
    assert (model.dialect, model.opset, model.bias) == ("on", 9, False)
    assert type(model.opset) is int


def test_lists_in_both_notations() -> None:
    assert value("devices:\n- gpu(0)\n- 'on'").devices == ("gpu(0)", "on")
    assert value("devices: []").devices == ()
    assert value("crop: {area: [0.5, 1]}").crop == Crop(area=(0.5, 1.0))


def test_a_section_given_in_part_is_completed_from_its_default() -> None:
    assert value("schedule: {name: step}").schedule == Schedule(name="step", rate=0.1)
    assert value("schedule:\n  # rate: 3\ncrop: {}") == Settings(crop=Crop())
    assert loads(Required, "name: 5") == Required(Model(), 5)


def test_a_file_is_read_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes("directory: fotoğraf 📷\r\nmodel:\r\n  classes: 3\r\n".encode())
    expected = Settings(directory="fotoğraf 📷", model=Model(classes=4))
    assert load(Settings, path, ["model.classes=4"]) == expected


# Overrides


def test_overrides_replace_and_complete_what_the_text_gives() -> None:
    text = "model: {classes: 3, note: a}\nschedule: {name: step, milestones: [1, 2]}"
    settings = value(
        text, "model.classes=4", "schedule.milestones=[5]", "crop={jitter: 0.5}", "model.note="
    )
    assert settings.model == Model(classes=4)
    assert settings.schedule == Schedule(name="step", rate=0.1, milestones=(5,))
    assert settings.crop == Crop(jitter=0.5)


def test_an_override_follows_the_rules_of_the_file() -> None:
    assert value("", "schedule.rate=4e-5").schedule.rate == 4e-5
    assert value("", "directory=a=b").directory == "a=b"
    assert value("", "directory='null'").directory == "null"
    assert value("crop: {jitter: 0.5}", "crop=null").crop is None
    assert value("crop: null", "crop.jitter=0.5").crop == Crop(jitter=0.5)
    assert value("", "crop.jitter=0.5", "crop.area=[0.5, 1]").crop == Crop((0.5, 1.0), 0.5)


# What is written


def test_the_text_of_the_defaults() -> None:
    assert dump(Settings(crop=Crop(jitter=4e-5))) == (
        "model:\n  classes: 1000\n  dialect: paper\n  opset: 7\n  bias: true\n  note: null\n"
        "schedule:\n  name: cosine\n  rate: 0.1\n  milestones: []\n"
        "crop:\n  area: [0.08, 1.0]\n  jitter: 4.0e-05\n"
        "directory: data\ndevices: [cpu]\n"
    )


def test_any_reader_of_yaml_understands_what_is_written() -> None:
    settings = Settings(
        model=Model(dialect="on", note="null"),
        directory="yes",
        devices=("1", "1.5", "é\n ", "\x85"),
    )
    assert yaml.safe_load(dump(settings)) == {
        **dataclasses.asdict(settings),
        "devices": list(settings.devices),
        "schedule": {"name": "cosine", "rate": 0.1, "milestones": []},
    }


def test_a_setting_takes_one_line_and_stays_legible() -> None:
    devices = ("é 'ß' 漢字 " * 20,) * 3
    assert dump(Settings(devices=devices)).splitlines()[-1].count("漢字") == 60


# The reference


def test_the_documentation_of_a_schema() -> None:
    assert documentation(Settings) == [
        SettingDoc("model", "a section", "", "The network."),
        SettingDoc("model.classes", "an integer, at least 1", "1000", "Number of classes."),
        SettingDoc("model.dialect", "one of paper, origin, on", "paper", "Which published form."),
        SettingDoc("model.opset", "one of 7, 9", "7", "ONNX opset."),
        SettingDoc("model.bias", "true or false", "true", ""),
        SettingDoc("model.note", "null or text", "null", "Anything; over\ntwo lines."),
        SettingDoc("schedule", "a section", "", "The learning rate."),
        SettingDoc("schedule.name", "one of cosine, step", "cosine", "How the rate falls."),
        SettingDoc("schedule.rate", "a number", "0.1", "Learning rate."),
        SettingDoc(
            "schedule.milestones", "a list, each item an integer, at least 1", "[]", "Epochs."
        ),
        SettingDoc("crop", "null or a section", "null", "Random crops."),
        SettingDoc(
            "crop.area",
            "a list of 2, each item a number, above 0 and at most 1",
            "[0.08, 1.0]",
            "Smallest and largest part of the image.",
        ),
        SettingDoc(
            "crop.jitter",
            "null or a number, at least 0 and below 1",
            "null",
            "Strength of the colour jitter.",
        ),
        SettingDoc("directory", "text", "data", "Folder."),
        SettingDoc("devices", "a list, each item text", "[cpu]", "Devices."),
    ]


def test_a_setting_that_must_be_given_has_no_default_in_the_documentation() -> None:
    by_key = {entry.key: entry for entry in documentation(Required)}
    assert by_key["name"].default == ""
    assert by_key["model.bias"].default == "true"


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        (Range(at_least=0), [0, 1, 1e300], [-1e-9]),
        (Range(above=0), [1e-9], [0, -1]),
        (Range(at_most=0.5), [0.5, -1], [0.51]),
        (Range(below=1), [0.999], [1, 1.0]),
        (Range(), [10**400, -1e300], []),
    ],
)
def test_ranges(bounds: Range, inside: list[Any], outside: list[Any]) -> None:
    assert all(number in bounds for number in inside)
    assert not any(number in bounds for number in outside)
