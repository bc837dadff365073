"""What was meant by a word of the command line that nothing there is called."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Sequence

from mobilenet import settings
from mobilenet.errors import ConfigError, closest, did_you_mean
from mobilenet.settings import SettingError
from mobilenet.settings.schema import Config


def command_meant(word: str, commands: Sequence[str]) -> str:
    """The message for a command that there is not."""
    return f"there is no command '{word}'" + (
        did_you_mean(word, commands) or f"; there are {', '.join(commands)}"
    )


def options_meant(
    parser: ArgumentParser, unknown: Sequence[str], words: Sequence[str], parsed: Namespace
) -> str:
    """The message for words that the parser does not know, and for what else is wrong.

    Args:
        parser: Of the command.
        unknown: The words, with the values that stand behind them.
        words: All of the call.
        parsed: What the parser has understood.
    """
    takes_settings = "settings" in parsed or "models" in parsed
    options = list(parser._option_string_actions)
    hints = [
        _option_meant(word, options, _value_behind(word, words) if takes_settings else None)
        for word in unknown
        if word.startswith("-")
    ]
    wrong = " ".join(word for word in unknown if word.startswith("-") or "=" not in word)
    told = [f"unrecognized arguments: {wrong}", *filter(None, hints)]
    if takes_settings:
        told += _wrong_settings([*getattr(parsed, "settings", ()), *unknown])
    return "; ".join(told)


def _option_meant(word: str, options: Sequence[str], value: str | None) -> str:
    option = word.partition("=")[0]
    keys = settings.keys_meant(option, settings.key_names(Config)) if value is not None else []
    if keys:
        meant = " or ".join(f"{key}={value}" for key in keys)
        return f"{option} is a setting, not an option: did you mean {meant}?"
    meant_option = closest(option, options)
    return f"{option}: did you mean {meant_option}?" if meant_option else ""


def _value_behind(word: str, words: Sequence[str]) -> str:
    """The value of an option, after `=` or in the next word; three dots where there is none."""
    _, equals, value = word.partition("=")
    if equals:
        return value
    place = words.index(word) + 1 if word in words else len(words)
    return words[place] if place < len(words) and not words[place].startswith("-") else "..."


def _wrong_settings(words: Sequence[str]) -> list[str]:
    """The mistakes in the settings among the words, as far as no file is needed to see them."""
    given = [word for word in words if "=" in word and not word.startswith("-")]
    try:
        settings.loads(Config, "", "", given)
    except ConfigError as error:
        # Whether settings go together depends on those of the file.
        return [str(one) for one in error.mistakes if not isinstance(one.__cause__, SettingError)]
    return []
