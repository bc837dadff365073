"""Every configuration that is shipped loads, builds, and costs what it did before."""

import itertools
import re
from pathlib import Path

import mxnet as mx
import pytest

from mobilenet import build, settings
from mobilenet.network.complexity import complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.network.initialization import initialize
from mobilenet.packing.ilsvrc2012 import NUM_IMAGES
from mobilenet.settings.field_types import AUTO
from mobilenet.settings.schema import Config
from mobilenet.training import build as training_build

CONFIGS = Path(__file__).parent.parent.parent / "configs"
# Trainable parameters and multiply-adds at the configured resolution.
GOLDEN = {
    "finetune.yaml": (2_249_472, 97_819_648),
    "imagenet/mobilenetv2_0.25.yaml": (1_519_112, 37_201_312),
    "imagenet/mobilenetv2_0.35-distilled.yaml": (1_677_128, 59_285_808),
    "imagenet/mobilenetv2_0.35.yaml": (1_677_128, 59_285_808),
    "imagenet/mobilenetv2_0.5-distilled.yaml": (1_968_680, 97_131_840),
    "imagenet/mobilenetv2_0.5.yaml": (1_968_680, 97_131_840),
    "imagenet/mobilenetv2_0.75.yaml": (2_636_424, 209_069_792),
    "imagenet/mobilenetv2_1.0-128.yaml": (3_504_872, 99_074_048),
    "imagenet/mobilenetv2_1.0-160.yaml": (3_504_872, 154_083_200),
    "imagenet/mobilenetv2_1.0-192.yaml": (3_504_872, 221_316_608),
    "imagenet/mobilenetv2_1.0-96.yaml": (3_504_872, 56_289_152),
    "imagenet/mobilenetv2_1.0-best.yaml": (3_504_872, 300_774_272),
    "imagenet/mobilenetv2_1.0-distilled.yaml": (3_504_872, 300_774_272),
    "imagenet/mobilenetv2_1.0-fast.yaml": (3_504_872, 300_774_272),
    "imagenet/mobilenetv2_1.0-gluoncv.yaml": (3_503_872, 300_774_272),
    "imagenet/mobilenetv2_1.0-long.yaml": (3_504_872, 300_774_272),
    "imagenet/mobilenetv2_1.0-origin.yaml": (3_504_960, 313_619_328),
    "imagenet/mobilenetv2_1.0-tf.yaml": (3_503_872, 344_759_744),
    "imagenet/mobilenetv2_1.0.yaml": (3_504_872, 300_774_272),
    "imagenet/mobilenetv2_1.3.yaml": (5_386_792, 509_374_560),
    "imagenet/mobilenetv2_1.4.yaml": (6_108_776, 582_195_824),
    "quickstart.yaml": (700_490, 7_837_440),
    "tiny-imagenet-20-distilled.yaml": (713_300, 7_850_240),
    "tiny-imagenet-20.yaml": (2_249_492, 24_474_112),
}


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_configuration(path: Path) -> None:
    config = settings.load(Config, path)
    if config.model.classes == AUTO:
        config = settings.load(Config, path, ["model.classes=20"])
    cost = complexity(symbol_of(build.network(config)), config.data.resolution)
    name = path.relative_to(CONFIGS).as_posix()
    assert (cost.num_parameters, cost.multiply_adds) == GOLDEN[name]
    build.eval_transform(config)
    build.train_transform(config)
    rates = training_build.schedule(config, steps_per_epoch=10)
    assert all(rates(step) >= 0 for step in range(10 * config.training.epochs))
    network = build.network(config)
    initialize(network, [mx.cpu()], seed=0, form=config.training.initializer)
    training_build.optimizer(config, network)


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_first_line_is_the_command(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(("# python train.py", "# python validate.py", "# make "))


TRAININGS = [
    path
    for path in sorted(CONFIGS.rglob("*.yaml"))
    if not path.read_text(encoding="utf-8").startswith("# python validate.py")
]
RECIPES = [path for path in TRAININGS if path.parent.name == "imagenet"]


def comment(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(itertools.takewhile(lambda line: line.startswith("#"), lines))


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: path.stem)
def test_trainings_say_what_they_need_follow_and_aim_at(path: Path) -> None:
    name, lines = path.relative_to(CONFIGS).as_posix(), comment(path)
    command = f"# python train.py configs/{name} data.directory=data/"
    assert lines[0].startswith(command) or lines[0] == f"# make {path.stem}"
    for words in ("Hardware", "Source", "(Aim|Published top-1 / top-5)"):
        assert sum(bool(re.match(f"# {words}: .", line)) for line in lines) == 1, words


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_of_published_figures_or_say_that_they_were_never_run(path: Path) -> None:
    lines = comment(path)
    assert lines[0].endswith(" data.directory=data/imagenet")
    assert lines[1].startswith("# Hardware: training.devices, ")
    (aim,) = [line for line in lines if re.match("# (Published top-1 / top-5|Aim): ", line)]
    assert re.search(r": \d\d\.\d+ / \d\d\.\d+[.,]|: top-1 .*, a guess: never run", aim)
    config = settings.load(Config, path)
    assert f"{len(config.training.devices)} GPUs" in lines[1]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_kill_costs_half_an_epoch_of_imagenet_at_most(path: Path) -> None:
    config = settings.load(Config, path)
    every_steps = config.checkpoint.every_steps
    assert every_steps is not None
    assert every_steps * config.training.batch_size <= NUM_IMAGES["train"] / 2


def test_there_is_a_recipe_for_every_published_width_and_resolution() -> None:
    configs = [settings.load(Config, path) for path in RECIPES]
    assert {c.model.width_multiplier for c in configs} == {0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4}
    assert {c.data.resolution for c in configs} == {96, 128, 160, 192, 224}


def test_every_golden_value_is_used() -> None:
    assert set(GOLDEN) == {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")}
