"""What is read, what is refused and in which words, and what is written."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
import yaml

from mobilenet.errors import ConfigError
from mobilenet.settings import Range, SettingDoc, SettingError, documentation, dump, load, loads


@dataclasses.dataclass(frozen=True)
class Crop:
    """A section inside a section."""

    area: tuple[Annotated[float, Range(above=0, at_most=1)], float] = (0.08, 1.0)
    """Smallest and largest part of the image."""
    jitter: Optional[Annotated[float, Range(at_least=0, below=1)]] = None
    """Strength of the colour jitter."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A section."""

    classes: Annotated[int, Range(at_least=1)] = 1000
    """Number of classes."""
    dialect: Literal["paper", "origin", "on"] = "paper"
    """Which published form."""
    opset: Literal[7, 9] = 7
    """ONNX opset."""
    bias: bool = True
    note: Optional[str] = None
    """Anything; over
    two lines."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A section with a check across its fields."""

    name: Literal["cosine", "step"] = "cosine"
    """How the rate falls."""
    rate: float = 0.05
    """Learning rate."""
    milestones: tuple[Annotated[int, Range(at_least=1)], ...] = ()
    """Epochs."""

    def __post_init__(self) -> None:
        if self.milestones and self.name != "step":
            raise SettingError("milestones", f"has no effect on the '{self.name}' schedule")
        if self.milestones == (13,):
            raise SettingError("milestones", "two\nlines and " + "long " * 100)


@dataclasses.dataclass(frozen=True)
class Settings:
    """A schema with every type of field."""

    model: Model = dataclasses.field(default_factory=Model)
    """The network."""
    schedule: Schedule = Schedule(rate=0.1)
    """The learning rate."""
    crop: Optional[Crop] = None
    """Random crops."""
    directory: str = "data"
    """Folder."""
    devices: tuple[str, ...] = ("cpu",)
    """Devices."""

    def __post_init__(self) -> None:
        if self.crop and self.model.classes == 7:
            raise SettingError("model.classes", "7 does not go with crops")


@dataclasses.dataclass(frozen=True)
class Required:
    """A schema that has no complete defaults."""

    model: Model
    """A section with defaults, itself without one."""
    name: Annotated[int, Range(above=0, at_most=5)]
    """A setting without default."""


def value(line: str, *overrides: str) -> Settings:
    return loads(Settings, line, "run.yaml", overrides)


def message(text: str, *overrides: str, schema: type = Settings) -> str:
    with pytest.raises(ConfigError) as caught:
        loads(schema, text, "run.yaml", overrides)
    assert type(caught.value) is ConfigError
    return str(caught.value)


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


def test_lists_side_by_side_are_not_deep() -> None:
    assert message("devices: [" + "[], " * 30 + "]").startswith("run.yaml:1: devices[0]: expected")


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


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.clases=1"],
         "'model.clases=1': model.clases: unknown key; did you mean 'classes'?"),
        (["model.bias"], "'model.bias': not of the form section.key=value"),
        (["=1"], "'=1': not of the form section.key=value"),
        (["model..bias=1"], "'model..bias=1': not of the form section.key=value"),
        ([".=1"], "'.=1': not of the form section.key=value"),
        (["model.bias=yes"], "'model.bias=yes': model.bias: expected true or false, not 'yes'"),
        (["model.bias="], "'model.bias=': model.bias: expected true or false, not nothing"),
        (["directory=*.rec"],
         "'directory=*.rec': not YAML: expected alphabetic or numeric character, but found '.'"
         " while scanning an alias"),
        (["directory=&a"], "'directory=&a': anchors and aliases are not read;"
         " quote a text that begins with & or *"),
        (["directory=[a"], "'directory=[a': not YAML: expected ',' or ']', but got '<stream end>'"
         " while parsing a flow sequence"),
        (["directory=a\n---\nb"],
         r"'directory=a\n---\nb': a second document begins; settings are a single one"),
        (["model.bias=true", "model.bias=true"],
         "'model.bias=true': model.bias: given twice; the first is override 'model.bias=true'"),
        (["model=null", "model.bias=true"],
         "'model.bias=true': model: given twice; the first is override 'model=null'"),
        (["model={bias: true}", "model.bias=true"],
         "'model.bias=true': model.bias: given twice; the first is override 'model={bias: true}'"),
        (["a." * 30 + "b=1"],
         f"'{'a.' * 30}...': nested more than 20 deep"),
        (["model.note=" + "x" * 100, "model.bias=3"],
         "'model.bias=3': model.bias: expected true or false, not '3'"),
        (["schedule.milestones=30,60"],
         "'schedule.milestones=30,60': schedule.milestones: expected a list, each item an integer,"
         " at least 1, not '30,60'; did you mean [30,60]?"),
        (["schedule.milestones=[5]"],
         "'schedule.milestones=[5]': schedule.milestones: has no effect on the 'cosine' schedule"),
    ],
)  # fmt: skip
def test_a_mistaken_override_is_named(overrides: list[str], expected: str) -> None:
    assert message("", *overrides) == f"override {expected}"


def test_an_override_can_bring_a_setting_of_the_file_out_of_effect() -> None:
    text = "schedule:\n  name: step\n  milestones: [5]\n"
    expected = "run.yaml:3: schedule.milestones: has no effect on the 'cosine' schedule"
    assert message(text, "schedule.name=cosine") == expected


# What is refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model:\n  clases: 3", "2: model.clases: unknown key; did you mean 'classes'?"),
        ("modle: {}", "1: modle: unknown key; did you mean 'model'?"),
        ("MODEL: {}", "1: MODEL: unknown key; did you mean 'model'?"),
        ("schedule:\n  zzz: 1",
         "2: schedule.zzz: unknown key; known are name, rate, milestones"),
        ("model.rate: 5", "1: 'model.rate': unknown key; did you mean 'model'?"),
        ("x" * 70 + ": 5", f"1: {'x' * 60}...: unknown key;"
         " known are model, schedule, crop, directory, devices"),
        ('"a\\nb": 5',
         r"1: 'a\nb': unknown key; known are model, schedule, crop, directory, devices"),
        ("schedule: {<<: {rate: 1}}",
         "1: schedule.'<<': unknown key; known are name, rate, milestones"),
        ("directory: a\n\ndirectory: a", "3: directory: given twice; the first is run.yaml:1"),
        ("model:\n  bias: true\n  \"bias\": true",
         "3: model.bias: given twice; the first is run.yaml:2"),
        ("? [a]\n: 1", "1: a key must be a name, not a list or a section"),
        ("model:\n  {a: 1}: 1", "2: model: a key must be a name, not a list or a section"),
        ("[1]", "1: expected lines of the form key: value, not a list of 1"),
        ("hello", "1: expected lines of the form key: value, not 'hello'"),
        ("model: 5", "1: model: expected a section of settings, not '5'"),
        ("model: null", "1: model: expected a section of settings, not null"),
        ("model: ''", "1: model: expected a section of settings, not the quoted text ''"),
        ("model: [5]", "1: model: expected a section of settings, not a list of 1"),
        ("model: {bias: yes}", "1: model.bias: expected true or false, not 'yes'"),
        ("model: {bias: True}", "1: model.bias: expected true or false, not 'True'"),
        ("model: {bias: 'true'}",
         "1: model.bias: expected true or false, not the quoted text 'true'"),
        ("model: {bias: ~}", "1: model.bias: expected true or false, not ~"),
        ("model: {classes: 1.0}", "1: model.classes: expected an integer, at least 1, not '1.0'"),
        ("model: {classes: 1e3}", "1: model.classes: expected an integer, at least 1, not '1e3'"),
        ("model: {classes: 010}", "1: model.classes: expected an integer, at least 1, not '010'"),
        ("model: {classes: '5'}",
         "1: model.classes: expected an integer, at least 1, not the quoted text '5'"),
        ("model: {classes: 0}", "1: model.classes: expected an integer, at least 1, not '0'"),
        ("model: {classes: true}", "1: model.classes: expected an integer, at least 1, not 'true'"),
        ("model: {classes: \u0663}",
         "1: model.classes: expected an integer, at least 1, not '\u0663'"),
        ("model: {classes: " + "9" * 5000 + "}",
         f"1: model.classes: expected an integer, at least 1, not '{'9' * 60}...'"),
        ("schedule: {rate: nan}", "1: schedule.rate: expected a number, not 'nan'"),
        ("schedule: {rate: .inf}", "1: schedule.rate: expected a number, not '.inf'"),
        ("schedule: {rate: 1e999}", "1: schedule.rate: expected a number, not '1e999'"),
        ("schedule: {rate: 1:30}", "1: schedule.rate: expected a number, not '1:30'"),
        ("schedule: {rate: {a: 1}}", "1: schedule.rate: expected a number, not a section"),
        ("schedule: {rate: }", "1: schedule.rate: expected a number, not nothing"),
        ("schedule: {rate: '" + "a\u2028" * 100 + "'}",
         "1: schedule.rate: expected a number, not the quoted text '" + "a\\u2028" * 30 + "...'"),
        ("crop:\n  jitter: 1",
         "2: crop.jitter: expected null or a number, at least 0 and below 1, not '1'"),
        ("crop: {area: [0, 1]}",
         "1: crop.area[0]: expected a number, above 0 and at most 1, not '0'"),
        ("crop: {area: [1]}",
         "1: crop.area: expected a list of 2, each item a number, above 0 and at most 1,"
         " not a list of 1"),
        ("directory:", "1: directory: expected text, not nothing"),
        ("directory: null", "1: directory: expected text, not null"),
        ("directory: [a]", "1: directory: expected text, not a list of 1"),
        ("devices: cpu", "1: devices: expected a list, each item text, not 'cpu';"
         " did you mean [cpu]?"),
        ("devices:", "1: devices: expected a list, each item text, not nothing"),
        ("devices: {}", "1: devices: expected a list, each item text, not a section"),
        ("devices:\n- a\n- ~", "3: devices[1]: expected text, not ~"),
        ("schedule: {name: cosin}",
         "1: schedule.name: expected one of cosine, step, not 'cosin'; did you mean 'cosine'?"),
        ("schedule: {name: [cosine]}",
         "1: schedule.name: expected one of cosine, step, not a list of 1"),
        ("model: {opset: '7'}", "1: model.opset: expected one of 7, 9, not the quoted text '7';"
         " did you mean '7'?"),
        ("schedule:\n  rate: 1\n  milestones:\n  - 4",
         "3: schedule.milestones: has no effect on the 'cosine' schedule"),
        ("crop: {}\nmodel:\n  classes: 7", "3: model.classes: 7 does not go with crops"),
        ("a: &b 1", "1: anchors and aliases are not read; quote a text that begins with & or *"),
        ("\na: *b", "2: anchors and aliases are not read; quote a text that begins with & or *"),
        ("a: &b {<<: *b}", "1: anchors and aliases are not read;"
         " quote a text that begins with & or *"),
        ("a: !!python/object/apply:os.system [ls]",
         "1: tags are not read; quote a text that begins with !"),
        ("a: !!binary aGk=", "1: tags are not read; quote a text that begins with !"),
        ("directory: !x a", "1: tags are not read; quote a text that begins with !"),
        ("directory: a\n---\n", "2: a second document begins; settings are a single one"),
        ("a: [1", "1: not YAML: expected ',' or ']', but got '<stream end>'"
         " while parsing a flow sequence"),
        ("a:\n\tb: 1", r"2: not YAML: found character '\t' that cannot start any token"
         " while scanning for the next token"),
        ("a: b: c", "1: not YAML: mapping values are not allowed here"),
        ("\nb: \0", "2: character U+0000 is not allowed"),
        ("a: \ud800", "1: character U+D800 is not allowed"),
        ('\n"\\UFFFFFFFF": 1', "2: not YAML: a number in an escape or a directive is too large"),
        ("%YAML 1." + "1" * 9000 + "\n---\na: 1", None),
        ("[" * 100_000, "1: nested more than 20 deep"),
        ("\n" + "{a: " * 100_000, "2: nested more than 20 deep"),
        ("\n".join(" " * depth + "a:" for depth in range(3000)), "21: nested more than 20 deep"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(text: str, expected: Optional[str]) -> None:
    told = message(text)
    assert told == f"run.yaml:{expected}" or (expected is None and told.startswith("run.yaml:1: "))


def test_a_missing_setting_is_told_without_a_line() -> None:
    expected = "run.yaml: name: missing; expected an integer, above 0 and at most 5"
    assert message("model: {}", schema=Required) == expected


def test_a_missing_setting_of_a_section_is_told_with_the_section() -> None:
    @dataclasses.dataclass(frozen=True)
    class Outer:
        inner: Required

    expected = "inner.name: missing; expected an integer, above 0 and at most 5"
    assert message("\ninner:\n  model: {}", schema=Outer) == f"run.yaml:2: {expected}"
    assert message("", schema=Outer) == f"run.yaml: {expected}"


def test_a_check_with_a_long_message_of_two_lines_is_told_in_one() -> None:
    told = message("schedule: {name: step, milestones: [13]}")
    assert told.startswith(r"run.yaml:1: schedule.milestones: two\nlines and long long ")
    assert told.endswith("...")
    assert len(told) < 400


def test_a_source_with_a_line_break_is_told_in_one() -> None:
    with pytest.raises(ConfigError, match=r"^a\\nb:1: x: unknown key; known are"):
        loads(Settings, "x: 1", "a\nb")


def test_a_check_outside_of_the_reader_names_its_key() -> None:
    with pytest.raises(SettingError, match=r"^milestones: has no effect on the 'cosine' schedule$"):
        Schedule(milestones=(1,))


# Files that are none


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(Settings, path)
    return str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    absent = tmp_path / "no.yaml"
    assert refusal(absent) == f"{absent}: cannot be read (No such file or directory)"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read (Is a directory)"
    # Not even root may read this; absent off Linux.
    memory = Path("/proc/self/mem")
    if memory.exists():
        assert refusal(memory) == f"{memory}: cannot be read (Input/output error)"


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(b"directory: a\nmodel:\n  note: \xff\n")
    assert refusal(path) == f"{path}:3: not UTF-8 text"
    path.write_bytes("directory: a".encode("utf-16"))
    assert refusal(path) == f"{path}:1: not UTF-8 text"


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "train.rec"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    assert refusal(path) == f"{path}: longer than 262144 bytes, so not a settings file"


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
