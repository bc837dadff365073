"""The command line itself: what loads, what is parsed, and how mistakes end."""

import json
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from told import assert_told

from mobilenet import __version__, cli
from mobilenet.commands.examples import EXAMPLES
from mobilenet.commands.json_output import alone_on_standard_output, write_result

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


def test_what_needs_no_mxnet_does_not_wait_for_it(tmp_path: Path) -> None:
    program = (
        "import sys; from mobilenet import cli\n"
        "for line in sys.argv[1:]: print(cli.main(line.split()), 'mxnet' in sys.modules)"
    )
    calls = {
        "weights": 0,
        "info --recipes": 0,
        "verify nowhere": 2,
        "train quickstart data.resolution=31": 2,
        "find-rate quickstart data.resolution=31": 2,
        "preview quickstart data.resolution=31 --output sheet.png": 2,
    }
    done = subprocess.run(
        [sys.executable, "-c", program, *calls],
        check=True, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    ended = [line for line in done.stdout.splitlines() if line.endswith(("True", "False"))]
    assert ended == [f"{code} False" for code in calls.values()]


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


def refused(call: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a call that is refused while it is parsed: one line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(call.split())
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    return said.err


def test_without_a_word_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert not ended.value.code
    said = capsys.readouterr()
    assert said.out.startswith("usage: mobilenet")
    assert said.err == ""


def test_a_mistyped_command(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused("trian x.yaml", capsys)
    assert told == (
        "mobilenet: there is no command 'trian'; did you mean 'train'?; see mobilenet --help\n"
    )
    assert_told(told.replace("; see mobilenet --help", ""), "a mistyped command")
    assert "; there are prepare, verify, preview," in refused("zzzzz", capsys)


SETTINGS_AS_OPTIONS = {
    "train c.yaml --epochs 5": "--epochs is a setting, not an option: did you mean"
    " training.epochs=5?",
    "train --epochs 5 c.yaml": "did you mean training.epochs=5?",
    "train c.yaml --lr=0.1": "did you mean schedule.learning_rate=0.1?",
    "train c.yaml --batch-size": "did you mean validation.batch_size=... or"
    " training.batch_size=...?",
    "train c.yaml --model.classes=3": "did you mean model.classes=3?",
    "validate run --num-workers 2": "did you mean data.num_workers=2?",
    "validate run --reprot out": "--reprot: did you mean --report?",
    "export run --img-size 128": "did you mean data.resolution=128?",
}


@pytest.mark.parametrize("call", SETTINGS_AS_OPTIONS)
def test_options_that_are_settings(call: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(call, capsys)
    assert "unrecognized arguments: --" in told
    assert f"{SETTINGS_AS_OPTIONS[call]}; see mobilenet" in told


def test_all_mistakes_of_a_call_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused("train c.yaml --lr 1 --epohcs 3 model.clases=3 schedule.power=2", capsys)
    for part in ("did you mean schedule.learning_rate=1?", "did you mean training.epochs=3?",
                 "model.clases: unknown key; did you mean 'classes'?"):  # fmt: skip
        assert part in told
    assert "schedule.power" not in told  # the file may have the schedule that it is for

    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("model:\n  clases: 3\ntraining:\n  epochs: x\n")
    assert cli.main(["train", "c.yaml", "epochs=3", "training.lr=1"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("mobilenet train: 4 mistakes: (1) ")
    assert_told(told, "several mistakes")
    for part in ("c.yaml:2: model.clases: unknown key; did you mean 'classes'?",
                 "override 'epochs=3': epochs: unknown key; did you mean 'training.epochs'?",
                 "did you mean 'schedule.learning_rate'?",
                 "c.yaml:4: training.epochs: expected an integer, at least 1, not 'x'",
    ):  # fmt: skip
        assert part in told


def test_no_mistake_waits_for_another_to_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("data: {directory: nowhere}\ntraining: {devices: [gpu(7)]}\n")
    Path("run").mkdir()
    Path("run/file").write_text("")
    assert cli.main(["train", "c.yaml", "--run", "run"]) == 2
    told = capsys.readouterr().err
    assert "3 mistakes: (1) training.devices: 'gpu(7)' cannot be used: " in told
    remedy = "or take the CPU: training.devices=[cpu]"
    assert f"{remedy}; (2) {tmp_path}/nowhere/train.rec: there is no record file" in told
    assert told.endswith("(3) run: exists already; continue the run with --resume or choose another"
                         " folder with --run\n")  # fmt: skip


@pytest.mark.parametrize("name", ["finetune", "configs/finetune.yaml", "mobilenetv2_1.0-128"])
def test_recipes_are_found_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", name, "data.directory=nowhere"]) == 2
    assert "nowhere/train.rec: there is no record file" in capsys.readouterr().err
    assert cli.main(["train", "finetun", "data.directory=nowhere"]) == 2
    told = capsys.readouterr().err
    assert told == (
        "mobilenet train: finetun: there is no such configuration; did you mean 'finetune'?\n"
    )
    assert_told(told, "a mistyped name of a recipe")


def test_every_command_shows_examples_that_are_right() -> None:
    parser = cli._parser()
    assert set(EXAMPLES) >= set(parser.commands)
    for name, command in parser.commands.items():
        text = command.format_help()
        assert EXAMPLES[name]
        for line in EXAMPLES[name]:
            assert f"\n  {line}" in text
            words = shlex.split(line.partition(" | ")[0])
            assert words[:2] == ["mobilenet", name]
            assert cli._parse(parser, words[1:]).command == name


def test_json_alone_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with alone_on_standard_output(Path("-")):
        sys.stdout.write("for people\n")
        write_result(Path("-"), {"é": 1})
    said = capfd.readouterr()
    assert json.loads(said.out) == {"é": 1}
    assert said.err == "for people\n"
