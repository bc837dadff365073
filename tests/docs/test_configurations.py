"""Every configuration that is shipped loads, builds, and costs what it did before."""

from pathlib import Path

import pytest

from mobilenet import build, settings
from mobilenet.complexity import complexity
from mobilenet.config import Config
from mobilenet.graphs import symbol_of

CONFIGS = Path(__file__).parent.parent.parent / "configs"
# Trainable parameters and multiply-adds at the configured resolution.
GOLDEN = {
    "imagenet/mobilenetv2_1.0-tf.yaml": (3_503_872, 344_759_744),
    "quickstart.yaml": (700_490, 7_837_440),
    "tiny-imagenet-20.yaml": (2_249_492, 24_474_112),
}


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_configuration(path: Path) -> None:
    config = settings.load(Config, path)
    cost = complexity(symbol_of(build.network(config)), config.data.resolution)
    name = path.relative_to(CONFIGS).as_posix()
    assert (cost.num_parameters, cost.multiply_adds) == GOLDEN[name]
    build.eval_transform(config)
    build.train_transform(config)
    build.contexts(config)


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_first_line_is_the_command(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(("# python train.py", "# python validate.py", "# make "))


def test_every_golden_value_is_used() -> None:
    assert set(GOLDEN) == {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")}
