"""Progress of long work where the standard error is no terminal: a line now and then."""

import pytest

from mobilenet import progress


@pytest.mark.parametrize("sizes, expected", [([5, 5, 2], "10 of 12"), ([1] * 12, "11 of 12")])
def test_lines_count_images_not_items(
    sizes: list[int],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    assert list(progress.watched(sizes, "reading", 12, lambda size: size)) == sizes
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(sizes)
    assert lines[-2].startswith(f"reading: {expected} images, ")


def test_short_work_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.watched("abc", "reading", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
