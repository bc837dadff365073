"""The command line itself: what loads, what is parsed, and how mistakes end."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mobilenet import __version__, cli

ROOT = Path(__file__).parent.parent


def test_help_loads_nothing_that_computes() -> None:
    program = (
        "import sys; from mobilenet import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'mxnet', 'onnx', 'onnxruntime', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "prepare" in done.stdout


def test_help_comes_soon() -> None:
    """Processor time, which a busy machine does not make longer; the fastest of three."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "mobilenet", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mobilenet {__version__}\n"


@pytest.mark.parametrize("script", ["train", "validate", "export"])
def test_scripts_run_from_another_folder(script: str, tmp_path: Path) -> None:
    call = [sys.executable, str(ROOT / f"{script}.py"), "--help"]
    done = subprocess.run(call, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert f"usage: mobilenet {script}" in done.stdout


def test_settings_may_follow_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("")
    call = ["train", str(config), "--run", str(tmp_path / "run"), "model.clases=3"]
    assert cli.main(call) == 2
    error = capsys.readouterr().err
    assert error == (
        "mobilenet train: override 'model.clases=3': model.clases: unknown key; did you mean"
        " 'classes'?\n"
    )


MISTAKES = [
    (["train", "missing.yaml"], "missing.yaml"),
    (["validate", "missing"], "missing: no such file or folder"),
    (["validate", "w.params"], "w.params: not a file of MXNet parameters"),
    (["validate", "empty"], "empty: neither a run folder nor a checkpoint"),
    (["validate", "w.params", "--config", "c.yaml"], "w.params: not a file of MXNet parameters"),
    (["export", "w.params", "--config", "c.yaml"], "w.params: not a file of MXNet parameters"),
    (["export", "c.yaml", "model.clases=3", "--untrained"], "did you mean 'classes'?"),
    (["prepare", "--source", "missing", "--output", "out"], "missing"),
    (["verify", "missing"], "missing"),
    (["train", "c.yaml", "data.directory=nowhere", "--run", "r"], "nowhere/train.rec"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    call: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("model:\n  classes: 3\n")
    Path("w.params").write_bytes(b"not parameters")
    Path("empty").mkdir()
    before = set(tmp_path.rglob("*"))
    assert cli.main(call) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert set(tmp_path.rglob("*")) == before


FAMILY = "export c.yaml --untrained --output f"
_WIDTH = "expected a number, above 0 and at most 10, not"
_PIXELS = "expected an integer, at least 32 and at most 2048, not"
SIZES = {
    f"{FAMILY} --widths nan": f"--widths: {_WIDTH} 'nan'",
    f"{FAMILY} --widths 0.5,100": f"--widths: {_WIDTH} '100'",
    f"{FAMILY} --resolutions 31,64": f"--resolutions: {_PIXELS} '31'",
    f"{FAMILY} --resolution 16": f"--resolution: {_PIXELS} '16'",
    "info --widths inf": f"--widths: {_WIDTH} 'inf'",
    "info --widths=-1": f"--widths: {_WIDTH} '-1'",
    "info --resolutions 4096": f"--resolutions: {_PIXELS} '4096'",
    "audit run --resolutions x": f"--resolutions: {_PIXELS} 'x'",
    "bench train --width 0": f"--width: {_WIDTH} '0'",
    "bench infer --size 16": f"--size: {_PIXELS} '16'",
    "launch --local 2 --port 70000 -- train.py": (
        "--port: expected an integer, at least 1 and at most 65535, not '70000'"
    ),
    "bench infer --repeats 0": "--repeats: expected an integer, at least 1, not '0'",
}


@pytest.mark.parametrize("call", SIZES)
def test_sizes_that_no_configuration_admits(call: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(call.split())
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert f"argument {SIZES[call]}; see mobilenet" in output.err
    assert (output.err.count("\n"), output.out) == (1, "")


def test_json_replaces_json_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in {"net.yaml": "model: {}\n", "net.params": "\x12\x01"}.items():
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(SystemExit) as ended:
            cli.main(["export", "net.params", "--config", "net.yaml", "--json", str(path)])
        assert ended.value.code == 2
        assert f"{path}: exists and is no JSON file; name another file" in capsys.readouterr().err
        assert path.read_text() == content


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["validate", "m", "--json", "folder"], "folder: is a folder; name a file"),
        (["validate", "m", "--report", "file"], "file: is a file; name a folder"),
        (["history", "r", "--output", "folder"], "folder: is a folder; name a file"),
        (["average", "r", "--output", "folder"], "folder: is a folder; name a file"),
        (["compare", "r", "--curves", "folder"], "folder: is a folder; name a file"),
        (["export", "m", "--package", "file"], "file: is a file; name a folder"),
        (["export", "m", "--mar", "folder"], "folder: is a folder; name a file"),
        (["quickstart", "--output", "file"], "file: is a file; name a folder"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_work(
    call: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("")
    with pytest.raises(SystemExit) as ended:
        cli.main(call)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_operators_that_fail_after_the_message_are_not_told() -> None:
    """MXNet computes on after a failure, and would print a traceback of the next one at exit."""
    program = (
        "import sys; from mobilenet.commands import machine\n"
        "def fail(_):\n"
        "    from mobilenet.compat.before_mxnet import prepare_for_mxnet\n"
        "    prepare_for_mxnet()\n"
        "    import mxnet as mx\n"
        "    mx.nd.random.normal(0, -1, (2, 2))\n"  # fails when it is computed, not here
        "    import time; time.sleep(0.5)\n"
        "    raise MemoryError\n"
        "def add_fail(adder): adder.add_parser('fail').set_defaults(run=fail)\n"
        "machine.add_info = add_fail\n"
        "from mobilenet import cli\n"
        "sys.exit(cli.main(['fail']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no memory left" in done.stderr
