"""The table of networks, and what is said of the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mobilenet import cli, network_table
from mobilenet.compat.environment import usable_processors
from mobilenet.settings import shipped


def test_costs_are_the_published_ones() -> None:
    # Parameters and multiply-adds as the authors' table has them: 3.47 M and 300 M, 1.66 M and
    # 59.2 M, 6.06 M and 582 M (tensorflow/models, research/slim/nets/mobilenet/README.md).
    published = {1.0: (3.47e6, 300e6), 0.35: (1.66e6, 59.2e6), 1.4: (6.06e6, 582e6)}
    for size in network_table.sizes(widths=tuple(published), resolutions=(224,)):
        parameters, multiply_adds = published[size.width_multiplier]
        assert size.cost.num_parameters == pytest.approx(parameters, rel=0.02)
        assert size.cost.multiply_adds == pytest.approx(multiply_adds, rel=0.01)


def test_table_has_a_row_per_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(network_table.WIDTHS) * len(network_table.RESOLUTIONS)
    (row,) = [line for line in lines if line.split()[:2] == ["1", "224"]]
    assert "3,504,872" in row
    assert "71.80" in row
    assert "tensorflow/models" in row
    (unpublished,) = [line for line in lines if line.split()[:2] == ["1.3", "96"]]
    assert unpublished.split()[-2:] == ["-", "-"]


def test_columns_of_the_largest_network_stand_apart() -> None:
    row = network_table.table(
        network_table.sizes(widths=(10.0,), resolutions=(2048,))
    ).splitlines()[1]
    costs = ["226,260,200", "2,266,148,065,280", "5,582,357,480"]
    assert row.split()[:5] == ["10", "2048", *costs]


def test_json_has_every_published_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.main(
            ["info", "--dialect", "origin", "--widths", "1.0", "--resolutions", "224", "--json"]
        )
        == 0
    )
    (size,) = json.loads(capsys.readouterr().out)
    assert size["cost"]["num_parameters"] == 3_504_960
    assert [one["top1"] for one in size["accuracies"]] == [0.7094, 0.7192]


def test_machine_tells_whose_settings_there_are() -> None:
    names = ("OMP_NUM_THREADS", "DNNL_MAX_CPU_ISA")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["OMP_NUM_THREADS"] = "1"
    call = [sys.executable, "-m", "mobilenet", "info", "--machine", "--json"]
    done = subprocess.run(call, check=True, capture_output=True, text=True, env=environment)
    machine = json.loads(done.stdout)
    settings = {setting["name"]: setting for setting in machine["settings"]}
    assert settings["OMP_NUM_THREADS"]["value"] == "1"
    assert settings["OMP_NUM_THREADS"]["origin"] == "user"
    assert machine["num_cores"] == usable_processors()
    assert machine["onednn"].startswith("v2.4")
    if "DNNL_MAX_CPU_ISA" in settings:  # not where AVX-512 is faster
        assert settings["DNNL_MAX_CPU_ISA"]["origin"] == "mobilenet"
        assert "AVX-512" not in machine["onednn"]


@pytest.mark.parametrize(
    ("facts", "of_user", "limit"),
    [
        ("vendor_id : GenuineIntel\nflags : fpu avx2 avx512f sse2\n", {}, None),
        ("vendor_id : GenuineIntel\nflags : fpu avx2 sse2\n", {}, "AVX2"),
        ("vendor_id : AuthenticAMD\nflags : fpu avx2 avx512f sse2\n", {}, "AVX2"),
        ("CPU implementer : 0x41\nFeatures : fp asimd sve\n", {}, None),
        (
            "vendor_id : GenuineIntel\nflags : fpu avx2 avx512f sse2\n",
            {"DNNL_MAX_CPU_ISA": "SSE41"},
            "SSE41",
        ),
    ],
)
def test_instructions_are_those_that_suit_the_processor(
    facts: str, of_user: dict[str, str], limit: str | None, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(facts)
    code = (
        "import os, pathlib, sys, mobilenet.compat.environment as compat;"
        "compat.unset_environment(); compat.set_environment(pathlib.Path(sys.argv[1]));"
        "print(os.environ.get('DNNL_MAX_CPU_ISA'))"
    )
    environment = {n: v for n, v in os.environ.items() if n != "DNNL_MAX_CPU_ISA"} | of_user
    call = [sys.executable, "-c", code, str(tmp_path / "cpuinfo")]
    done = subprocess.run(call, check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == str(limit)


@pytest.mark.parametrize(
    ("of_user", "count", "is_ours"),
    [
        ({}, "10000", True),
        ({"GOMP_SPINCOUNT": "7"}, "7", False),
        ({"OMP_WAIT_POLICY": "active"}, "None", False),
    ],
)
def test_waiting_threads_sleep_soon(of_user: dict[str, str], count: str, is_ours: bool) -> None:
    code = (
        "import os, mobilenet.compat.environment as compat;"
        "print(os.environ.get('GOMP_SPINCOUNT'), list(compat.set_by_package().items()), sep=';');"
        "compat.unset_environment(); print(os.environ.get('GOMP_SPINCOUNT'))"
    )
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {n: v for n, v in os.environ.items() if n not in names} | of_user
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, check=True, capture_output=True, text=True, env=environment)
    first, left = done.stdout.splitlines()
    shown, _, origins = first.partition(";")
    assert (shown, left) == (count, of_user.get("GOMP_SPINCOUNT", "None"))
    assert ("('GOMP_SPINCOUNT', True)" in origins) == is_ours


@pytest.mark.parametrize(
    ("files", "of_user", "engine"),
    [
        ([], {}, "NaiveEngine"),
        (["nvidiactl"], {}, "None"),
        ([], {"MXNET_ENGINE_TYPE": "ThreadedEngine"}, "ThreadedEngine"),
    ],
)
def test_inference_on_cpus_calls_operators_without_a_thread(
    files: list[str], of_user: dict[str, str], engine: str, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).touch()
    code = (
        "import os, pathlib, sys, mobilenet.compat.environment as compat;"
        "compat.prepare_for_inference(pathlib.Path(sys.argv[1]));"
        "print(os.environ.get('MXNET_ENGINE_TYPE'))"
    )
    environment = {n: v for n, v in os.environ.items() if n != "MXNET_ENGINE_TYPE"} | of_user
    call = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(call, check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == engine


@pytest.mark.parametrize(
    ("of_user", "num_started"), [({}, 0), ({"MXNET_CPU_PARALLEL_SIZE": "9"}, 1)]
)
def test_python_s_thread_starts_no_threads_of_openmp(
    of_user: dict[str, str], num_started: int
) -> None:
    code = (
        "import os, mobilenet, numpy, mxnet as mx; mx.nd.ones(2).wait_to_read();"
        "count = lambda: len(os.listdir('/proc/self/task'));"
        "before = count(); mx.nd.array(numpy.ones(10**6)).wait_to_read();"
        "print(count() - before)"
    )
    names = ("MXNET_CPU_PARALLEL_SIZE", "OMP_NUM_THREADS")
    environment = {n: v for n, v in os.environ.items() if n not in names}
    environment |= {"OMP_NUM_THREADS": "2", **of_user}
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, check=True, capture_output=True, text=True, env=environment)
    assert int(done.stdout) == num_started


def test_the_engine_of_inference_is_loaded_in_silence() -> None:
    code = (
        "import mobilenet.inference.naive_engine as engine; engine.load_for_inference();"
        "import mxnet as mx;"
        "print(mx.nd.ones(2).sum().asscalar())"
    )
    call = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("2.0\n", "")


@pytest.mark.parametrize("option", ["--machine", "--recipes"])
def test_sizes_have_no_effect_on_other_subjects(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["info", option, "--widths", "1.0"]) == 2
    assert f"--widths has no effect with {option}" in capsys.readouterr().err


def test_info_lists_each_recipe_by_a_name_that_train_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["info", "--recipes", "--json"]) == 0
    aims = json.loads(capsys.readouterr().out)
    assert all(shipped.shipped(name).is_file() for name in aims)
    # A description of weights is no recipe.
    assert set(shipped.recipes()) - set(aims) - {Path(name).name for name in aims} == {
        "imagenet/mobilenetv2_1.0-tf",
        "mobilenetv2_1.0-tf",
    }
    assert aims["imagenet/mobilenetv2_1.0"] == "Published top-1 / top-5: 72.192 / 90.534."
    assert cli.main(["info", "--recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [list(pair) for pair in aims.items()]
