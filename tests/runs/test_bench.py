"""`mobilenet bench` measures what it says."""

import json
import time
from pathlib import Path

import pytest

from mobilenet import bench, cli
from mobilenet.data.record_file import RecordFile
from mobilenet.export.to_onnx import export_untrained
from mobilenet.settings.schema import Config, DataConfig

SMALL = ["--batch", "4", "--size", "32", "--width", "0.1", "--repeats", "3"]


@pytest.mark.parametrize("subject", ["train", "infer"])
def test_model(subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.perf_counter()
    assert cli.main(["bench", subject, *SMALL, "--json"]) == 0
    seconds = time.perf_counter() - start
    result = json.loads(capsys.readouterr().out)
    low, high = result["spread"]
    assert 3 * 4 / seconds < low <= result["images_per_second"] <= high
    assert result["median_seconds_per_image"] == 1 / result["images_per_second"]
    assert result["median"] == result["images_per_second"]
    assert result["repeats"] == 3
    assert result["peak_memory_bytes"] > 50e6


def test_end_to_end_says_what_limits(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "end-to-end", *SMALL]) == 0
    first, second = capsys.readouterr().out.splitlines()
    numbers = [float(word) for word in first.split() if word.isdigit()]
    limit = "data" if numbers[0] < numbers[1] else "model"
    assert first.endswith(f"images/s: the {limit} limits")
    assert "waiting for data" in second


def test_share_of_waiting() -> None:
    speeds = [bench.Speed(what, (rate,)) for what, rate in (("", 10.0), ("", 20.0), ("", 5.0))]
    result = bench.EndToEnd(*speeds, data_wait=0.25)
    assert result.summary().startswith("data: 10 images/s, model: 20 images/s: the data limits")
    assert "25.0 % of the time waiting" in result.summary()
    as_json = result.as_json()
    assert (as_json["images_per_second"], as_json["limit"]) == (5.0, "data")
    assert as_json["sentence"] == result.summary().splitlines()[0]


def test_reader_takes_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench._write_records(tmp_path, 40)
    assert len(RecordFile(tmp_path / "train.rec")) == 40
    call = ["bench", "reader", str(tmp_path), "--batch", "8", "--size", "32", "--repeats", "2"]
    assert cli.main(call) == 0
    assert "read, 32 px, batch 8: " in capsys.readouterr().out


def test_onnx_takes_its_size_from_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.onnx"
    export_untrained(Config(data=DataConfig(resolution=64)), path)
    assert cli.main(["bench", "onnx", str(path), "--batch", "2", "--repeats", "2"]) == 0
    assert "small.onnx by ONNX Runtime, 64 x 64 px, batch 2: " in capsys.readouterr().out


MISTAKES = [
    ("train records", "'records' has no effect on `bench train`"),
    ("reader --width 1.0", "--width has no effect on `bench reader`"),
    ("onnx", "needs the ONNX file"),
    ("onnx missing.onnx", "missing.onnx is not a file"),
    ("reader missing", "missing/train.rec"),
]


@pytest.mark.parametrize(("call", "message"), MISTAKES)
def test_mistakes(call: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", *call.split()]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
