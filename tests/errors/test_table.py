"""The table in docs/errors.md has a test for every row."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from told import rows

TESTS = [path for path in Path(__file__).parent.parent.rglob("test_*.py") if path != Path(__file__)]
# Situations that have a test without a message, or one elsewhere.
SHOWN_BY = {
    "no room during a run": "test_a_full_disk_stops_the_run_and_spoils_nothing",
    "Ctrl-C for a job in the background": (
        "test_in_the_background_ctrl_c_is_ignored_and_sigterm_heeded"
    ),
    "killed": "test_killed_and_resumed_without_a_terminal",
    "moved to another folder or machine": "test_a_run_goes_on_elsewhere",
    "a process dies": "test_a_killed_worker_ends_all_and_others_go_on",
    "a process of Horovod dies": "test_a_lost_rank_of_horovod_is_one_sentence",
    "no terminal": "test_killed_and_resumed_without_a_terminal",
    "a terminal of 80 columns": "test_bars_keep_to_the_width_of_a_terminal",
    "the reader of a pipe has left": "test_output_that_nobody_takes",
    "standard streams are closed": "test_closed_streams_do_not_matter",
    "a terminal that knows ASCII alone": "test_a_bare_environment",
    "no HOME, or the locale C": "test_a_bare_environment",
    "spaces and any script in names": "test_the_whole_job_in_folders_of_any_name",
}


@cache
def told() -> set[str]:
    """What is given to `assert_told` somewhere: a text, or a name for texts of the same test."""
    found: set[str] = set()
    for path in TESTS:
        for test in ast.parse(path.read_text(encoding="utf-8")).body:
            for call in ast.walk(test):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "assert_told":
                    situation = call.args[1]
                    found |= texts(situation if isinstance(situation, ast.Constant) else test)
    return found


def texts(node: ast.AST) -> set[str]:
    constants = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


@cache
def names_of_tests() -> set[str]:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in TESTS)
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("situation", rows())
def test_every_row_has_a_test(situation: str) -> None:
    if situation in SHOWN_BY:
        assert SHOWN_BY[situation] in names_of_tests()
    else:
        assert situation in told()


def test_nothing_is_shown_that_the_table_lacks() -> None:
    assert set(SHOWN_BY) <= set(rows())
