"""What is refused, and in which words."""

import dataclasses
import os
from pathlib import Path
from typing import Optional

import pytest
from settings_schema import Required, Schedule, Settings

from mobilenet.errors import ConfigError
from mobilenet.settings import SettingError, load, loads


def message(text: str, *overrides: str, schema: type = Settings) -> str:
    with pytest.raises(ConfigError) as caught:
        loads(schema, text, "run.yaml", overrides)
    assert type(caught.value) is ConfigError
    return str(caught.value)


# Texts


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
        (r'directory: "a\0"', r"1: directory: expected text, not the quoted text 'a\x00'"),
        (r'directory: "a\ud800"', r"1: directory: expected text, not the quoted text 'a\ud800'"),
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


def test_lists_side_by_side_are_not_deep() -> None:
    assert message("devices: [" + "[], " * 30 + "]").startswith("run.yaml:1: devices[0]: expected")


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


# Overrides


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


# Files that are none


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(Settings, path)
    return str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    absent = tmp_path / "no.yaml"
    assert refusal(absent) == f"{absent}: cannot be read: No such file or directory; check the path"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    # Not even root may read this; absent off Linux.
    memory = Path("/proc/self/mem")
    if memory.exists():
        assert refusal(memory) == f"{memory}: cannot be read: Input/output error"


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
