"""Skips items that fail, goes on with the others, and reports the skipped ones by exit code 1.

This is the rule for every command that processes several items independently: images to predict,
checkpoints to validate, runs to compare, models to export. Where all items contribute to one
figure, such as an accuracy, a bad item ends the command: a figure without it would mean something
else.
"""

from __future__ import annotations

import contextlib
from typing import Iterator

from mobilenet.errors import UserError, VerificationError
from mobilenet.progress_bar import say

_NUM_NAMED = 20


class SkippedItems:
    """Collects the items that were skipped; if there is only one item, its error is raised."""

    def __init__(self, noun: str, total: int) -> None:
        self._noun, self._total = noun, total
        self._names: list[str] = []

    @contextlib.contextmanager
    def skipping(self, name: object) -> Iterator[None]:
        """Skips the item `name` if the block fails with one of the package's own errors.

        Prints the error, and continues after the block.

        Raises:
            UserError, VerificationError: The item has failed and is the only one.
        """
        try:
            yield
        except (UserError, VerificationError) as error:
            if self._total == 1:
                raise
            self._names.append(str(name))
            say(f"left out: {error}")

    def check(self) -> None:
        """Checks that no item was skipped.

        Raises:
            VerificationError: Items were skipped; the message names them.
        """
        if self._names:
            more = len(self._names) - _NUM_NAMED
            names = ", ".join(self._names[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")
            raise VerificationError(
                f"{len(self._names)} of {self._total} {self._noun} left out: {names}"
            )


SKIP_NONE = SkippedItems("items", 1)
"""Raises the first error."""
