"""Whatever is written reads back the same; whatever is broken is settings or a one-line error."""

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilenet.errors import ConfigError
from mobilenet.settings import documentation, dump, load, loads
from mobilenet.settings.field_types import Range
from mobilenet.settings.schema import Config

REPOSITORY = Path(__file__).parent.parent.parent
SHIPPED = sorted((REPOSITORY / "configs").rglob("*.yaml"))


@dataclasses.dataclass(frozen=True)
class Section:
    flag: bool = False
    ratio: Annotated[float, Range(at_least=-1, at_most=1)] = 0.5
    rate: Optional[float] = None
    pair: tuple[int, int] = (1, 2)
    choice: Optional[Literal["yes", "null", "1"]] = None


@dataclasses.dataclass(frozen=True)
class Schema:
    required: str
    section: Section
    other: Optional[Section] = None
    name: Optional[str] = "null"
    texts: tuple[str, ...] = ("a", "")
    more: tuple[Optional[str], ...] = ()
    number: int = 0
    numbers: tuple[Annotated[float, Range(above=0)], ...] = (4e-5,)


AWKWARD = """
    yes no on off true 1e5 4e-5 .5 .nan 1:30 0x1f null ~ = << - ? : [] {} & * ! % @ ` | > --- ...
    2001-01-01 # a:b a#b é 📷
"""
NUMBERS = "0 1 7 -1 0.5 1. 1e-3 32 100000 [0.5] [1,2,3] [0.1,2] [gpu(0)]"
awkward = st.sampled_from(AWKWARD.split())
numbers = st.sampled_from(NUMBERS.split())
words = st.lists(
    st.one_of(awkward, st.sampled_from([" ", "\n", "\t", "\r", "\x85", "\u2028", "'", '"', "\\"])),
    max_size=6,
).map("".join)
# What a path may hold: no NUL, and of surrogates those that stand for bytes that are not UTF-8.
bytes_of_names = st.characters(categories=["Cs"], min_codepoint=0xDC80, max_codepoint=0xDCFF)
controls = st.one_of(st.characters(categories=["Cc", "Zs"]), bytes_of_names)
texts = st.one_of(awkward, words, st.text(max_size=6), st.text(controls, max_size=4)).filter(
    lambda text: "\0" not in text
)
floats = st.floats(allow_nan=False, allow_infinity=False)

sections = st.builds(
    Section,
    flag=st.booleans(),
    ratio=st.floats(-1, 1),
    rate=st.none() | floats,
    pair=st.tuples(st.integers(), st.integers(-(10**90), 10**90)),
    choice=st.sampled_from([None, "yes", "null", "1"]),
)
schemas = st.builds(
    Schema,
    required=texts,
    section=sections,
    other=st.none() | sections,
    name=st.none() | texts,
    texts=st.lists(texts, max_size=3).map(tuple),
    more=st.lists(st.none() | texts, max_size=3).map(tuple),
    number=st.integers(),
    numbers=st.lists(st.floats(0, exclude_min=True, allow_infinity=False), max_size=3).map(tuple),
)


def examples(number: int) -> Any:
    """So many examples, the same in every run."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=number, deadline=None, derandomize=True, database=None,
        suppress_health_check=slow,
    )  # fmt: skip


@examples(1000)
@given(schemas)
def test_what_is_written_reads_back_the_same(written: Schema) -> None:
    assert loads(Schema, dump(written)) == written


@pytest.mark.slow
@examples(10_000)
@given(schemas)
def test_what_is_written_reads_back_the_same_at_length(written: Schema) -> None:
    assert loads(Schema, dump(written)) == written


def test_one_list_in_two_places_is_written_twice() -> None:
    same = ("a", "b")
    written = Schema("", Section(), texts=same, more=same)
    assert loads(Schema, dump(written)) == written


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_shipped_configuration_reads_back_the_same(path: Path) -> None:
    config = load(Config, path)
    assert loads(Config, dump(config)) == config


FULL = Schema("text", Section(), Section(rate=1e-5), texts=("a b", "é\n"), more=(None, "null"))
ORIGINALS = [
    (Schema, dump(FULL).encode()),
    (Config, dump(Config()).encode()),
    *((Config, path.read_bytes()) for path in SHIPPED),
]


def positions(items: Any) -> Any:
    return st.integers(0, max(len(items) - 1, 0))


@st.composite
def with_broken_bytes(draw: Any, content: bytes) -> bytes:
    """The content with a byte or a few deleted, inserted or replaced."""
    start = draw(positions(content))
    end = start + draw(st.integers(0, 4))
    telling = st.sampled_from(list(rb""":-[]{},&*!|>'"%@`#?\ """ + b"\n\t\r\0\x80\xff"))
    return content[:start] + bytes(draw(st.lists(telling, max_size=3))) + content[end:]


@st.composite
def with_broken_lines(draw: Any, content: bytes) -> bytes:
    """The content with a line deleted, given twice, moved or indented otherwise."""
    lines = content.split(b"\n")
    line = lines.pop(draw(positions(lines)))
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(positions(lines)), draw(st.sampled_from([b"", b" ", b"  "])) + line)
    return b"\n".join(lines)


@st.composite
def with_other_values(draw: Any, content: bytes) -> bytes:
    """The content with the values of two lines exchanged, or one value made an awkward one."""
    pairs = [line.partition(b":") for line in content.split(b"\n")]
    one, other = draw(positions(pairs)), draw(positions(pairs))
    values = [pair[2] for pair in pairs]
    values[one], values[other] = values[other], values[one]
    if draw(st.booleans()):
        values[one] = b" " + draw(awkward | numbers).encode()
    both = zip(pairs, values)
    return b"\n".join(key + colon + value for (key, colon, _), value in both)


@st.composite
def broken_files(draw: Any) -> tuple[type, bytes]:
    """A schema and a file for it with one to three things broken."""
    schema, content = draw(st.sampled_from(ORIGINALS))
    for _ in range(draw(st.integers(1, 3))):
        breaker = draw(st.sampled_from([with_broken_bytes, with_broken_lines, with_other_values]))
        content = draw(breaker(content))
    return schema, content


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings") / "run.yaml"


def check_settings_or_one_line(schema: type, content: bytes, path: Path) -> None:
    path.write_bytes(content)
    try:
        config: Any = load(schema, path)
    except ConfigError as error:
        assert type(error) is ConfigError
        line_number = r":\d+" if schema is Config else r"(:\d+)?"
        mistakes = re.match(rf"(?:(\d+) mistakes: \(1\) )?{re.escape(str(path))}", str(error))
        assert mistakes, str(error)
        assert re.match(rf"{line_number}: .", str(error)[mistakes.end() :]), str(error)
        assert str(error).isprintable(), repr(str(error))
        assert len(str(error)) < int(mistakes[1] or 1) * (len(str(path)) + 400)
        for line in re.findall(rf"{re.escape(str(path))}:(\d+)", str(error)):
            assert 1 <= int(line) <= 1 + len(content.decode("latin1").splitlines())
    else:
        assert loads(schema, dump(config)) == config


@examples(1000)
@given(broken_files())
def test_a_broken_file_is_settings_or_one_line(path: Path, broken: tuple[type, bytes]) -> None:
    check_settings_or_one_line(*broken, path)


@pytest.mark.slow
@examples(10_000)
@given(broken_files())
def test_a_broken_file_is_settings_or_one_line_at_length(
    path: Path, broken: tuple[type, bytes]
) -> None:
    check_settings_or_one_line(*broken, path)


KEYS = [entry.key for entry in documentation(Config) if entry.type != "a section"]
CHOICES = sorted(set(re.findall(r"[a-z][\w-]*", " ".join(e.type for e in documentation(Config)))))
override_values = st.one_of(awkward, numbers, st.sampled_from(CHOICES), st.text(max_size=5))


@examples(1000)
@given(st.lists(st.tuples(st.sampled_from(KEYS), override_values), min_size=1, max_size=3))
def test_an_override_is_a_setting_or_one_line(pairs: list[tuple[str, str]]) -> None:
    overrides = [f"{key}={value}" for key, value in pairs]
    try:
        config = loads(Config, "", "run.yaml", overrides)
    except ConfigError as error:
        assert re.match(r"(\d+ mistakes: \(1\) )?(override ['\"]|run.yaml: )", str(error)), str(
            error
        )
        assert str(error).isprintable()
    else:
        assert loads(Config, dump(config)) == config
