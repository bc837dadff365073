"""What an installation consists of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mobilenet import __version__
from mobilenet.commands.arguments import shipped

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as setup.py installs it."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-W", "ignore", "setup.py", "-q", "egg_info", "--egg-base", folder]
    build += ["build_py", "--build-lib", folder / "lib"]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "lib" / "mobilenet"


def test_every_module_and_configuration_is_installed(installed: Path) -> None:
    for pattern, source in (("*.py", ROOT / "mobilenet"), ("*.yaml", ROOT / "configs")):
        inside = installed if pattern == "*.py" else installed / "configs"
        expected = {path.relative_to(source) for path in source.rglob(pattern)}
        assert {path.relative_to(inside) for path in inside.rglob(pattern)} == expected
    assert (installed / "py.typed").is_file()


def test_every_part_of_the_web_page_is_installed(installed: Path) -> None:
    folder = Path("export", "web")
    expected = {path.name for path in (ROOT / "mobilenet" / folder).iterdir()}
    assert "index.html" in expected
    assert {path.name for path in (installed / folder).iterdir()} == expected


def test_a_shipped_configuration_is_found_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "configs/quickstart.yaml"
    assert shipped(name).read_bytes() == (ROOT / name).read_bytes()
    assert shipped("configs/none.yaml") == Path("configs/none.yaml")
    own = tmp_path / name
    own.parent.mkdir()
    own.write_text("")
    assert shipped(name) == Path(name)  # a file that is there comes first


def test_the_version_is_the_same_everywhere() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {__version__}" in changes


def test_continuous_integration_runs_what_contributors_are_told_to_run() -> None:
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in run if line.startswith("make ")]
    assert commands
    for command in commands:
        assert f"\n{command}" in told
