"""Every configuration that is shipped loads, builds, and costs what it did before."""

import itertools
import re
from pathlib import Path

import pytest

from mobilenet import build, settings
from mobilenet.complexity import complexity
from mobilenet.config import Config
from mobilenet.graphs import symbol_of

CONFIGS = Path(__file__).parent.parent.parent / "configs"
# Trainable parameters and multiply-adds at the configured resolution.
GOLDEN = {
    "finetune.yaml": (2_249_472, 97_819_648),
    "imagenet/mobilenetv2_0.25.yaml": (1_519_112, 37_201_312),
    "imagenet/mobilenetv2_0.35.yaml": (1_677_128, 59_285_808),
    "imagenet/mobilenetv2_0.5.yaml": (1_968_680, 97_131_840),
    "imagenet/mobilenetv2_0.75.yaml": (2_636_424, 209_069_792),
    "imagenet/mobilenetv2_1.0-128.yaml": (3_504_872, 99_074_048),
    "imagenet/mobilenetv2_1.0-160.yaml": (3_504_872, 154_083_200),
    "imagenet/mobilenetv2_1.0-192.yaml": (3_504_872, 221_316_608),
    "imagenet/mobilenetv2_1.0-96.yaml": (3_504_872, 56_289_152),
    "imagenet/mobilenetv2_1.0-gluoncv.yaml": (3_503_872, 300_774_272),
    "imagenet/mobilenetv2_1.0-long.yaml": (3_504_872, 300_774_272),
    "imagenet/mobilenetv2_1.0-origin.yaml": (3_504_960, 313_619_328),
    "imagenet/mobilenetv2_1.0-tf.yaml": (3_503_872, 344_759_744),
    "imagenet/mobilenetv2_1.0.yaml": (3_504_872, 300_774_272),
    "imagenet/mobilenetv2_1.3.yaml": (5_386_792, 509_374_560),
    "imagenet/mobilenetv2_1.4.yaml": (6_108_776, 582_195_824),
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


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_first_line_is_the_command(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(("# python train.py", "# python validate.py", "# make "))


RECIPES = [
    path
    for path in sorted((CONFIGS / "imagenet").glob("*.yaml"))
    if path.read_text(encoding="utf-8").startswith("# python train.py")
]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_say_what_they_need_and_aim_at(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    command = f"# python train.py configs/imagenet/{path.name} data.directory=data/imagenet"
    assert comment[0] == command
    assert comment[1].startswith("# Hardware: training.devices, ")
    assert sum(line.startswith("# Source: ") for line in comment) == 1
    (aim,) = [line for line in comment if line.startswith("# Published top-1 / top-5: ")]
    assert re.search(r": \d\d\.\d+ / \d\d\.\d+[.,]", aim)
    config = settings.load(Config, path)
    assert f"{len(config.training.devices)} GPUs" in comment[1]


def test_there_is_a_recipe_for_every_published_width_and_resolution() -> None:
    configs = [settings.load(Config, path) for path in RECIPES]
    assert {c.model.width_multiplier for c in configs} == {0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4}
    assert {c.data.resolution for c in configs} == {96, 128, 160, 192, 224}


def test_every_golden_value_is_used() -> None:
    assert set(GOLDEN) == {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")}
