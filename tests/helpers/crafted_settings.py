"""Crafts configurations that are nearly right, and reads them (`crafting`)."""

from __future__ import annotations

import sys
from pathlib import Path

import mobilenet  # noqa: F401  # isort: skip  repairs NumPy first
from crafting import EXTREMES, Random, craft_and_read, one_of, spoilt, told

from mobilenet import settings
from mobilenet.runs import run_folder
from mobilenet.settings.schema import Config

_CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
_LAUGHS = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x]"]
    + [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefghi", "bcdefghij")]
)
_VALUES = (
    *map(str, EXTREMES),
    *("1e400", "-1e400", ".nan", "-.inf", "0x7fffffffffffffff", "0o17", "1_000", "9" * 5000),
    *("true", "yes", "~", "''", '"\\0"', '"\\UFFFFFFFF"', '"\\ud800"', "2026-01-01", "0:30"),
    *("[]", "{}", "[[]]", "{a: {b: c}}", "[1, [2, [3]]]", "[gpu(0), cpu]", "*a", "&a b", "!!int 3"),
    *("!!python/object/apply:os.system [true]", "!!binary aGVsbG8=", "<<", "{<<: *a}", "? [a] : b"),
    *("[" * 500 + "]" * 500, "[" * 50_000, "{a: " * 20_000, "- " * 1000, "|\n  text", ">-\n  a"),
    *("'" + "a" * 50_000 + "'", "\\", "%", "@", "`", "\t", ": :", "'", '"', "#", "a: b: c"),
)
_LINES = (
    *("---", "...", "%YAML 1.1", "%YAML 99999999999999999999.1", "%TAG ! tag:x,2026:", "<<: *a"),
    *("model:", "model: {width_multiplier: 2}", "? model", "[]", "- a", "\tmodel: 1", "\ufeff"),
    *(_LAUGHS, "? " * 5000, "  " * 5000 + "a: b", "\u0085", "\u2028a: b", "x" * 100_000 + ": 1"),
)


def wrong_yaml(content: bytes, random: Random) -> bytes:
    """The configuration with other values, lines, indents or keys."""
    lines = content.decode().splitlines()
    for _ in range(random.integers(1, 4)):
        place, how = int(random.integers(len(lines))), random.integers(5)
        key, colon, _ = lines[place].partition(":")
        if how < 2 and colon:
            lines[place] = f"{key}: {one_of(_VALUES, random)}"
        elif how == 2:
            lines.insert(place, one_of(_LINES, random))
        elif how == 3:
            lines.insert(int(random.integers(len(lines))), lines[place])
        else:
            lines[place] = " " * int(random.integers(9)) + lines[place].lstrip()
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def main() -> None:
    """Crafts and reads."""
    path, overrides = Path(sys.argv[1]) / "crafted.yaml", list[str]()
    keys = list(run_folder.flat(Config()))

    def craft(random: Random, number: int) -> None:
        crafts = wrong_yaml if number % 3 else spoilt
        path.write_bytes(crafts(one_of(_CONFIGS, random).read_bytes(), random))
        overrides[:] = [f"{one_of(keys, random)}={one_of(_VALUES, random)}"] * (number % 4 == 0)

    def read() -> None:
        config = settings.load(Config, path)
        run_folder.check_changes(config, settings.loads(Config, settings.dump(config)), path)

    def read_both() -> None:
        told(read)
        told(lambda: settings.load(Config, path, overrides))
        told(lambda: settings.loads(Config, "", "nothing", overrides))

    craft_and_read(craft, read_both)


if __name__ == "__main__":
    main()
