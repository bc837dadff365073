"""Other Pythons, missing libraries, and terminals that are none, narrow or gone."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from told import ROOT, assert_told, mobilenet

from mobilenet import __main__ as door


def refused_by_make(*words: str, **variables: str) -> str:
    """The one line that make's target says before make's own."""
    # As from a terminal, also when these tests are run by make themselves.
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    make = shutil.which("make") or "make"
    call = [make, "-s", "-C", str(ROOT), *words]
    done = subprocess.run(
        call, env={**env, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    message, of_make = done.stderr.splitlines()
    assert re.match(r"(\S*/)?make: \*\*\*", of_make)
    return message


@pytest.mark.parametrize(
    ("python", "situation"),
    [("", "no Python that MXNet runs on"), ("false", "make with another Python")],
)
@pytest.mark.parametrize("target", ["setup", "quickstart", "test"])
def test_make_says_which_python_it_needs(
    python: str, situation: str, target: str, tmp_path: Path
) -> None:
    assert_told(refused_by_make(target, f"PYTHON={python}", f"VENV={tmp_path}/venv"), situation)
    assert not list(tmp_path.iterdir())


def test_horovod_without_a_compiler(tmp_path: Path) -> None:
    (tmp_path / ".ready").touch()  # of an environment that is set up
    programs = tmp_path / "programs"
    programs.mkdir()
    call = ("setup-horovod", f"PYTHON={sys.executable}", f"VENV={tmp_path}")
    assert_told(refused_by_make(*call, PATH=str(programs)), "no compiler")
    (programs / "cmake").symlink_to(sys.executable)
    assert_told(refused_by_make(*call, PATH=str(programs)), "no compiler")
    assert {path.name for path in tmp_path.iterdir()} == {".ready", "programs"}


def test_setup_gpu_without_a_driver(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/false")  # finds no library
    (tmp_path / ".ready").touch()
    call = ("setup-gpu", f"PYTHON={sys.executable}", f"VENV={tmp_path}")
    assert_told(refused_by_make(*call), "make setup-gpu without a driver")
    assert {path.name for path in tmp_path.iterdir()} == {".ready", "bin"}


@pytest.mark.parametrize("version", [(3, 8, 20), (3, 15, 0)])
def test_another_python_is_told_which_it_needs(
    version: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    assert door.main(["--help"]) == 2
    assert_told(capsys.readouterr().err, "a script with another Python")


@pytest.mark.parametrize("script", ["train", "validate", "export"])
def test_a_script_without_its_packages(script: str, tmp_path: Path) -> None:
    call = [sys.executable, "-S", str(ROOT / f"{script}.py"), "x"]  # without site-packages
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert_told(done.stderr, "a script without the packages")


@pytest.mark.parametrize(
    ("missing", "situation"),
    [
        (("libgomp.so.1", "libquadmath.so.0"), "a bare system"),
        (("libGL.so.1", "libgthread-2.0.so.0"), "a server without libGL"),
    ],
)
def test_a_bare_system(missing: tuple[str, ...], situation: str, job: Path, tmp_path: Path) -> None:
    """Stands in for the system's loader, and for opencv-python, which may be the headless one."""
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text("raise ImportError('libGL')")
    (tmp_path / "opencv_python.libs").mkdir()
    (tmp_path / "sitecustomize.py").write_text(_LOADER.format(missing=missing))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = mobilenet(job, "predict", "Netz ü 日.onnx", "die Bilder/val", env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f" {', '.join(missing)};" in done.stderr
    assert_told(done.stderr, situation)


_LOADER = """
import ctypes
class Loader(ctypes.CDLL):
    def __init__(self, name, *arguments, **options):
        if name in {missing}:
            raise OSError(f"{{name}}: cannot open shared object file: No such file or directory")
        if str(name).startswith("lib"):  # may be missing here, too
            name = None
        super().__init__(name, *arguments, **options)
ctypes.CDLL = Loader
"""


def test_mxnet_alone_is_missing(job: Path, tmp_path: Path) -> None:
    (tmp_path / "mxnet.py").write_text("raise ModuleNotFoundError(name='mxnet')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = mobilenet(job, "info", "--machine", env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    is_left_out = sys.version_info[:2] >= (3, 13)
    assert_told(
        done.stderr, "MXNet is left out" if is_left_out else "a script without the packages"
    )


def test_pip_is_told_in_a_sentence(tmp_path: Path) -> None:
    call = ("setup", f"PYTHON={sys.executable}", f"VENV={tmp_path}/venv")
    told = refused_by_make(*call, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert_told(told, "a package cannot be downloaded")
    assert not (tmp_path / "venv" / ".ready").exists()


def test_closed_streams_do_not_matter(job: Path, tmp_path: Path) -> None:
    """Their numbers would go to the files of records, and the decoder's complaints into these."""
    command = f'"{sys.executable}" -m mobilenet prepare --source "$0" --output "$1" <&- >&- 2>&-'
    call = ["sh", "-c", command, str(job / "die Bilder"), str(tmp_path / "records")]
    assert subprocess.run(call, check=False).returncode == 0
    for name in ("train.rec", "val.rec", "synset.txt"):
        assert (tmp_path / "records" / name).read_bytes() == (
            job / "Aufnahmen ü" / name
        ).read_bytes()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_takes(job: Path, unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = mobilenet(job, "verify", "Aufnahmen ü", capture_output=False, stdout=full,
                         stderr=subprocess.PIPE, env=environment)  # fmt: skip
    assert done.returncode == 2
    assert_told(done.stderr, "no room for the output")
    reading, writing = os.pipe()
    os.close(reading)
    done = mobilenet(job, "verify", "Aufnahmen ü", capture_output=False, stdout=writing,
                     stderr=subprocess.PIPE, env=environment)  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_mistake_that_nobody_is_told_is_one(job: Path, unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = mobilenet(job, "verify", "nowhere", capture_output=False, stderr=full,
                         env=environment)  # fmt: skip
    assert done.returncode == 2


def test_instructions_that_onednn_may_not_use(job: Path, tmp_path: Path) -> None:
    words = ("train", "mein Lauf.yaml", "training.precision=bfloat16", "--run", tmp_path / "run")
    limited = {**os.environ, "DNNL_MAX_CPU_ISA": "AVX2"}
    refused = mobilenet(job, *words, env=limited)
    assert refused.returncode == 2
    assert_told(refused.stderr, "training in bfloat16 on a processor without it")
    assert not (tmp_path / "run").exists()


def test_a_bare_environment(job: Path) -> None:
    """Neither HOME nor a locale, and a terminal that knows ASCII alone."""
    bare = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = mobilenet(job, "predict", "Netz ü 日.onnx", "die Bilder/val/blå kors", env=bare)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert r"die Bilder/val/bl\xe5 kors/00000.jpg" in done.stdout
    done = mobilenet(job, "predict", "Netz ü 日.onnx", "-", env=bare,
                     input="die Bilder/val/blå kors/00000.jpg")  # fmt: skip
    assert done.returncode == 0, done.stderr


def on_terminal(call: list[str], folder: Path, columns: int) -> list[str]:
    """What a process shows on a terminal, as lines without its control sequences."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(call, cwd=folder, stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        shown = b""
        try:
            while block := os.read(ours, 1 << 16):
                shown += block
        except OSError:
            pass  # on Linux the end of a terminal is an input/output error
        os.close(ours)
    assert process.returncode == 0, shown.decode()
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", shown.decode())
    return re.split(r"[\r\n]+", text)


def test_bars_keep_to_the_width_of_a_terminal(job: Path, tmp_path: Path) -> None:
    train = ["train", "mein Lauf.yaml", "--run", str(tmp_path / "run")]
    shown = on_terminal([sys.executable, "-m", "mobilenet", *train], job, 80)
    bars = [line for line in shown if re.search(r": +\|.*\| \d+/\d+", line)]
    # Loss, top-1, rate, images per second, waiting and times left, all of it.
    whole = r"epoch 1/1: \|.+\| 5/5, \d+\.\d{3} \d+\.\d% lr0\.02 \d+/s wait\d+% 0:00/0:00 *"
    assert any(re.fullmatch(whole, line) for line in bars), bars
    assert max(map(len, bars)) <= 80


def test_helps_keep_to_the_width_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("prepare", "train", "validate", "export", "predict"):
        with pytest.raises(SystemExit):
            door.main([command, "--help"])
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_killed_and_resumed_without_a_terminal(job: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train = ["train", "mein Lauf.yaml", "checkpoint.every_steps=1", "training.epochs=40"]
    call = [sys.executable, "-m", "mobilenet", *train, "--run", str(run)]
    with subprocess.Popen(call, cwd=job, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list((run / "checkpoints").glob("step-*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        second = mobilenet(job, *train, "--run", run, "--resume")
        assert_told(second.stderr, "two processes in one folder")
        process.kill()
    shutil.move(run, tmp_path / "moved")
    with subprocess.Popen(
        [*call[:-1], str(tmp_path / "moved"), "--resume"],
        cwd=job,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "step" not in (line := process.stderr.readline()) or "from step" in line:
            assert line, "it ended before its first step"
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    assert process.returncode == 128 + signal.SIGTERM
    assert "\r" not in said
    assert_told(said, "stopped by a signal")
