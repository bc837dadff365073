"""Hosts, the processes on them, and how they are started."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import pytest

from mobilenet import build, settings
from mobilenet.cli import main
from mobilenet.compat import environment
from mobilenet.distributed import cluster, launcher
from mobilenet.distributed.cluster import (
    Host,
    Member,
    environments,
    members,
    read_hosts,
    start_command,
)
from mobilenet.distributed.group import Group
from mobilenet.distributed.horovod import HorovodGroup
from mobilenet.errors import ConfigError, UserError, VerificationError
from mobilenet.settings.schema import Config


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`launch` takes back what the package has set, which other tests need."""
    monkeypatch.setattr(environment, "_set_by_us", set())


def hosts_of(tmp_path: Path, text: str) -> list[Host]:
    (tmp_path / "hosts").write_text(text)
    return read_hosts(tmp_path / "hosts")


def test_hosts_as_mpirun_has_them(tmp_path: Path) -> None:
    text = "# two\n10.0.0.1\nnode-2:4\nnode3.example slots=2  # last\n\n"
    assert hosts_of(tmp_path, text) == [
        Host("10.0.0.1", 1),
        Host("node-2", 4),
        Host("node3.example", 2),
    ]


@pytest.mark.parametrize("line", ["a b", "a:0", "a slots=x", "a:1:2", "a slots=0"])
def test_other_lines_are_refused_by_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"hosts:2: '.*' is not of the form HOST, HOST:N or"):
        hosts_of(tmp_path, f"first\n{line}\n")
    with pytest.raises(ConfigError, match="no host"):
        hosts_of(tmp_path, "\n")


def test_a_file_of_hosts_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_bytes(b"\xff\xfe\0host\n")
    with pytest.raises(ConfigError, match="hosts: is no UTF-8 text with one host per line"):
        read_hosts(tmp_path / "hosts")


def test_workers_are_numbered_in_the_order_of_the_hosts() -> None:
    first, second = Host("a", 2), Host("b", 1)
    names = [member.name for member in members([first, second], num_servers=3)]
    servers = ["server 0 on a", "server 1 on b", "server 2 on a"]
    assert names == ["scheduler on a", *servers, "worker 0 on a", "worker 1 on a", "worker 2 on b"]


def test_the_environment_holds_addresses_and_numbers() -> None:
    processes = members([Host("127.0.0.2", 2)], num_servers=1)
    scheduler, server, _, last = environments(processes, port=7)
    assert scheduler["DMLC_PS_ROOT_URI"] == last["DMLC_NODE_HOST"] == "127.0.0.2"
    assert server["DMLC_ROLE"] == "server"
    assert last == {
        **scheduler,
        "DMLC_ROLE": "worker",
        "DMLC_TASK_ID": "1",
    }
    assert (last["DMLC_NUM_WORKER"], last["DMLC_NUM_SERVER"]) == ("2", "1")
    assert last["MOBILENET_LOCAL_SIZE"] == "2"


@pytest.mark.parametrize("name", ["nowhere.invalid", "two..dots"])
def test_a_host_without_an_address_is_named(name: str) -> None:
    with pytest.raises(UserError, match=rf"host '{name}': no address"):
        environments(members([Host(name, 1)], 1), port=7)


def test_one_of_several_hosts_that_others_cannot_reach_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses = {"here": "127.0.1.1", "there": "10.0.0.2"}
    monkeypatch.setattr(cluster.socket, "gethostbyname", addresses.__getitem__)
    here, there = Host("here", 2), Host("there", 1)
    environments(members([here], 1), port=7)
    with pytest.raises(UserError, match=r"host 'here' has the address 127\.0\.1\.1, by which no"):
        environments(members([there, here], 1), port=7)


def test_a_command_survives_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ssh hands to a shell there is what was meant."""
    monkeypatch.setenv("MXNET_EXAMPLE", "a 'b'")
    member = Member("worker", 0, Host("there", 1))
    script = "import os; print(os.environ['MXNET_EXAMPLE'], os.environ['DMLC_ROLE'], os.getcwd())"
    command = start_command(member, {"DMLC_ROLE": "worker"}, [], ["ssh", "-x"])
    assert command[:3] == ["ssh", "-x", "there"]
    module = "mobilenet.distributed.launched_process"
    assert command[3].endswith(shlex.join([sys.executable, "-m", module]))
    remote = command[3].replace(f"-m {module}", f"-c {shlex.quote(script)}")
    done = subprocess.run(["sh", "-c", remote], capture_output=True, text=True, check=True)
    assert done.stdout == f"a 'b' worker {Path.cwd()}\n"


@pytest.mark.parametrize("script", [[], ["--"], ["--", "nowhere.py"], ["--", "env", "train.py"]])
def test_what_workers_run_must_be_there(
    script: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["launch", "--local", "2", *script]) == 2
    assert "what each worker runs must be" in capsys.readouterr().err


@pytest.mark.parametrize(("ssh", "what"), [("'", "No closing quotation"), ("", "no command")])
def test_what_runs_commands_on_hosts_must_be_one(
    ssh: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["launch", "--local", "1", "--ssh", ssh, "--", __file__])
    assert what in capsys.readouterr().err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_launcher_whose_output_nobody_takes_ends(unbuffered: str, tmp_path: Path) -> None:
    """And so does the worker, which would wait for room in its pipe."""
    script = tmp_path / "talkative.py"
    script.write_text("import sys\nwhile True: print('a line', file=sys.stderr)\n")
    command = [sys.executable, "-m", "mobilenet", "launch", "--local", "1", "--", str(script)]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stderr=pipe, text=True, env=environment) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "[worker 0] a line\n"
        child.stderr.close()
        try:
            assert child.wait(30) == 1
        finally:
            child.kill()


def test_workers_run_a_command_that_is_a_python_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "mobilenet-like"
    command.write_text("#!/opt/a folder/python3\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    started: list[list[str]] = []
    monkeypatch.setattr(launcher, "launch", lambda _, commands: started.extend(commands) or 0)
    assert main(["launch", "--local", "1", "--", command.name, "train", "x.yaml"]) == 0
    assert started[-1][-3:] == [str(command), "train", "x.yaml"]


def test_processes_of_one_machine_share_its_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "usable_processors", lambda: 8)
    for name, number, share in (
        ("MOBILENET_LOCAL_SIZE", "4", 2),
        ("HOROVOD_LOCAL_SIZE", "16", 1),
        ("OMPI_COMM_WORLD_LOCAL_SIZE", "2", 4),
        ("OMPI_COMM_WORLD_LOCAL_SIZE", "x", 8),
        ("OMPI_COMM_WORLD_LOCAL_SIZE", "0", 8),
    ):
        monkeypatch.setenv(name, number)
        assert environment.num_processors() == share
        monkeypatch.delenv(name)
    assert environment.num_processors() == 8


class _GroupOfTwo(Group):
    size = 2


@pytest.mark.parametrize(
    "name",
    ["DMLC_NUM_WORKER", "HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"],
)
def test_no_engine_overlooks_processes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one whose own launcher was not that of the processes."""
    monkeypatch.setattr(build, "HorovodGroup", _GroupOfTwo)
    for engine, size in (("none", 1), ("horovod", 2)):
        config = settings.loads(Config, "", "x", [f"distributed.engine={engine}"])
        for fine in (str(size), "1", "x", ""):
            monkeypatch.setenv(name, fine)
            assert build.group(config).size == size
        monkeypatch.setenv(name, "4")
        sentence = rf"'{engine}' makes a group of {size}, but this is one of 4 processes \({name}\)"
        with pytest.raises(ConfigError, match=sentence):
            build.group(config)


def test_an_engine_that_mxnet_would_silently_replace_is_refused() -> None:
    for name in ("dist_device_async", "byteps", "Horovod"):
        with pytest.raises(ConfigError, match=r"distributed\.engine"):
            settings.loads(Config, "", "x", [f"distributed.engine={name}"])
    with pytest.raises(ConfigError, match=r"distributed.workers.*no effect"):
        settings.loads(Config, "", "x", ["distributed.workers=2"])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "MXNetError: Horovod has been shut down. This was caused by",
            "Horovod has been shut down",
        ),
        ("[/gloo/pair.cc:589] Read error [10.0.0.2]:34020: reset\nStack trace:", "34020: reset"),
    ],
)
def test_whatever_a_lost_rank_does_to_horovod_is_one_sentence(text: str, cause: str) -> None:
    group = object.__new__(HorovodGroup)  # without Horovod
    group.size = 2
    with (
        pytest.raises(VerificationError, match=rf"rank 0 of 2: another .*{cause}\); continue"),
        group,
    ):
        raise mx.MXNetError(text)
    group.size = 1
    with pytest.raises(mx.MXNetError), group:
        raise mx.MXNetError(text)
