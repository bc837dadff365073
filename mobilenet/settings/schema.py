"""Every setting of a run: frozen dataclasses, one per section of the YAML file.

Each field carries its meaning, unit and range; the reference in docs/ is made from these classes.
Checks across fields, and settings that would have no effect, are refused here too.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal, Optional

from mobilenet.settings import growing_resolution
from mobilenet.settings.distillation import DistillationConfig
from mobilenet.settings.field_types import (
    AUTO,
    Count,
    CountOrZero,
    Fraction,
    NotNegative,
    Positive,
    Range,
    SettingError,
)
from mobilenet.settings.optimization import OptimizerConfig, ScheduleConfig


@dataclass(frozen=True)
class ModelConfig:
    """The network."""

    width_multiplier: Annotated[float, Range(above=0, at_most=10)] = 1.0
    """Factor on the channels of every layer but the classifier (paper, section 4)."""
    depth_multiplier: Annotated[float, Range(above=0, at_most=10)] = 1.0
    """Factor on the blocks of every stage but the first and the last, rounded up (timm's 110d and
    120d); other than 1, the stem and the head keep the paper's channels."""
    classes: Annotated[int, Range(at_least=1), AUTO] = 1000
    """Number of classes, which is that of the records; `auto` takes it from them in training, and a
    run has it as a number."""
    dialect: Literal["paper", "gluoncv", "origin"] = "paper"
    """Which published form: `paper` rounds channels to multiples of 8 and has a classifier bias;
    `gluoncv` truncates channels, no bias; `origin` also expands the first block and uses ReLU."""
    activation: Optional[Literal["relu6", "relu"]] = None
    """Activation instead of the dialect's own."""
    dropout: Annotated[float, Range(at_least=0, below=1)] = 0.0
    """Fraction of the features before the classifier that training drops."""


@dataclass(frozen=True)
class DataConfig:
    """The records and how they become the network's input, in training and validation alike."""

    directory: str = "data/imagenet"
    """Folder that `mobilenet prepare` made: train.rec, val.rec, synset.txt, manifest.json."""
    resolution: Annotated[int, Range(at_least=32, at_most=2048)] = 224
    """Height and width of the network's input in pixels."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of the red, green and blue values, which run from 0 to 1; subtracted."""
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    """Standard deviation of the red, green and blue values; divided by."""
    exif_orientation: Literal["ignore", "apply"] = "ignore"
    """Whether photographs are turned as their EXIF orientation tells viewers: `ignore`, as for all
    published accuracies on ImageNet, or `apply`, for photos of one's own."""
    num_workers: CountOrZero = 0
    """Threads that decode images; 0 for one per processor."""
    max_bad_records: CountOrZero = 0
    """Corrupt training records per epoch, of each process, that are replaced and reported before
    training stops."""


@dataclass(frozen=True)
class AugmentationConfig:
    """What training does to each image."""

    squash: Optional[Count] = None
    """Pixels of the square that every image is first squashed to: 480 for the ONNX model zoo."""
    area: tuple[Fraction, Fraction] = (0.08, 1.0)
    """Smallest and largest part of the image that a random crop covers."""
    aspect_ratio: tuple[Positive, Positive] = (0.75, 4 / 3)
    """Smallest and largest width / height of a random crop."""
    flip: Fraction = 0.5
    """Probability of a left-right flip."""
    policy: Optional[Literal["randaugment", "trivialaugment", "autoaugment"]] = None
    """Random operations on the crop, as torchvision's: shearing, rotation, colours and others."""
    magnitude: Optional[Annotated[int, Range(at_least=0, at_most=30)]] = None
    """Strength of `randaugment`; 9 by default."""
    brightness: Fraction = 0.0
    """Brightness is multiplied by a factor from [1 - x, 1 + x]."""
    contrast: Fraction = 0.0
    """Contrast likewise."""
    saturation: Fraction = 0.0
    """Saturation likewise."""
    hue: Annotated[float, Range(at_least=0, at_most=0.5)] = 0.0
    """Hue is turned by up to this part of the colour circle."""
    pca_noise: NotNegative = 0.0
    """Standard deviation of the colour shift along ImageNet's principal components (AlexNet)."""
    random_erasing: Fraction = 0.0
    """Probability that a random rectangle is painted over with the mean colour."""
    mixup: NotNegative = 0.0
    """Alpha of the Beta distribution that blends pairs of images; 0 for none."""
    cutmix: NotNegative = 0.0
    """Alpha of the Beta distribution of pasted rectangles; 0 for none."""

    def __post_init__(self) -> None:
        for name in ("area", "aspect_ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise SettingError(name, f"the first value (={low}) exceeds the second (={high})")
        if self.area[0] == 0:
            raise SettingError("area", "a crop must cover more than 0 of the image")
        if self.magnitude is not None and self.policy != "randaugment":
            raise SettingError("magnitude", "has no effect without the policy 'randaugment'")


OWN_SHORT_SIDE = ("squash-256", "squash-224", "imagenet-preprocess")
"""Validation transforms whose short side cannot be set."""


@dataclass(frozen=True)
class ValidationConfig:
    """How the network is validated: centre crops, every record once."""

    transform: Literal[
        "center-crop", "center-crop-area", "center-crop-cubic", "center-crop-pil",
        "center-crop-pil-cubic", "squash", "squash-pil", "squash-256", "squash-224",
        "imagenet-preprocess",
    ] = "center-crop"  # fmt: skip
    """How an image gets its size before the crop: keeping the aspect or squashed to a square, by
    OpenCV or PIL, bilinear unless the name says otherwise; the last three are the ONNX model
    zoo's."""
    short_side: Optional[Count] = None
    """Short side in pixels before the crop; by default resolution / 0.875, rounded up."""
    batch_size: Count = 64
    """Images per batch; does not change any result."""

    def __post_init__(self) -> None:
        if self.short_side is not None and self.transform in OWN_SHORT_SIDE:
            raise SettingError("short_side", f"has no effect on the transform '{self.transform}'")


@dataclass(frozen=True)
class TrainingConfig:
    """The run: how long, how large, from which weights."""

    epochs: Count = 150
    """Passes over the training records."""
    min_steps: CountOrZero = 0
    """Optimizer steps of the whole run at least: records that are too few for them in `epochs`
    epochs get more epochs, and the run has their number."""
    batch_size: Count = 256
    """Images per optimizer step, over all devices and workers together."""
    accumulation: Count = 1
    """Parts in which a device computes its share of the batch, to need less memory."""
    resolution_steps: tuple[tuple[float, float], ...] = ()
    """Smaller crops early in the run: with `[[0, 128], [0.4, 176], [0.75, 224]]` they have 128
    pixels, from 0.4 of the epochs on 176, and from 0.75 on 224. The last resolution is
    data.resolution; none by default."""
    label_smoothing: Annotated[float, Range(at_least=0, below=1)] = 0.0
    """Part of the target that is spread evenly over all classes."""
    ema_decay: Optional[Annotated[float, Range(above=0, below=1)]] = None
    """Decay of the averaged copy of the weights that is validated and exported; none by default."""
    seed: Annotated[int, Range(at_least=0, at_most=2**64 - 1)] = 0
    """Seed of everything random: initial weights, order, augmentation, mixing, dropout."""
    devices: tuple[str, ...] = ("cpu",)
    """Devices that share each batch: `cpu`, `gpu(0)`, `gpu(1)` ..."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """`float16`, on GPUs, and `bfloat16`, on processors with AVX512-BF16, compute in half precision
    with float32 master weights."""
    initializer: Literal["he-fan-out", "msra-prelu"] = "he-fan-out"
    """Random start: normal by fan-out as in torchvision, or MXNet's MSRAPrelu as in gluoncv."""
    initial_weights: Optional[str] = None
    """Weights to start from: a published name (`mobilenet weights`), a run (its best checkpoint), a
    checkpoint, or a .params, .safetensors, .npz or .onnx file; a classifier of another form keeps
    its random start."""
    frozen_stages: Annotated[int, Range(at_least=0, at_most=9)] = 0
    """Leading parts that keep their initial weights: 1 is the stem, 2 to 8 stages, 9 the head."""
    recalibration_batches: CountOrZero = 0
    """Batches over which BatchNorm's statistics are computed afresh before each validation."""
    patience: Optional[Count] = None
    """Epochs without a better validation top-1 after which the run ends early; none by default."""
    rollbacks: CountOrZero = 0
    """How often the run may return to the last checkpoint, at half the rate, after a loss that is
    not finite."""

    def __post_init__(self) -> None:
        if not self.devices or len(set(self.devices)) < len(self.devices):
            raise SettingError("devices", "at least one is needed, and none twice")
        if self.batch_size % (len(self.devices) * self.accumulation):
            raise SettingError(
                "batch_size",
                f"{self.batch_size} cannot be shared evenly by {len(self.devices)} devices in"
                f" {self.accumulation} parts",
            )
        wrong = growing_resolution.problem_of(self.resolution_steps)
        if wrong:
            raise SettingError("resolution_steps", wrong)
        if self.frozen_stages and self.initial_weights is None:
            raise SettingError("frozen_stages", "has no effect without initial_weights")
        if self.precision == "float16" and any(not d.startswith("gpu") for d in self.devices):
            raise SettingError("precision", "float16 needs devices that are GPUs")
        if self.precision == "bfloat16" and self.devices != ("cpu",):
            raise SettingError("precision", "bfloat16 needs the device cpu; GPUs have float16")


@dataclass(frozen=True)
class CheckpointConfig:
    """Which states of the run are kept; the best one always is."""

    every_epochs: Count = 1
    """Epochs between checkpoints; the last epoch always has one."""
    every_steps: Optional[Count] = None
    """Steps between checkpoints inside an epoch; none by default."""
    keep_last: Count = 2
    """Number of newest checkpoints that are kept."""
    keep_every_epochs: Optional[Count] = None
    """Checkpoints of every n-th epoch are kept for good; a multiple of every_epochs."""

    def __post_init__(self) -> None:
        if (self.keep_every_epochs or 0) % self.every_epochs:
            raise SettingError(
                "keep_every_epochs", f"must be a multiple of every_epochs (={self.every_epochs})"
            )


@dataclass(frozen=True)
class DistributedConfig:
    """Processes that train one network together."""

    engine: Literal["none", "kvstore", "horovod"] = "none"
    """MXNet's parameter servers (by `mobilenet launch`) or Horovod (by `horovodrun`, `mpirun`)."""
    workers: Optional[Count] = None
    """Required number of processes; any by default."""

    def __post_init__(self) -> None:
        if self.engine == "none" and self.workers is not None:
            raise SettingError("workers", "has no effect without an engine")


@dataclass(frozen=True)
class LogConfig:
    """What a run reports besides its files."""

    every_steps: Count = 50
    """Steps between lines of progress."""
    tensorboard: bool = False
    """Also write TensorBoard files (needs the extra `tensorboard`)."""


@dataclass(frozen=True)
class Config:
    """A whole run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    data: DataConfig = field(default_factory=DataConfig)
    """The records and the network's input."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """What training does to each image."""
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """How the network is validated."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How gradients change the parameters."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """The learning rate."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """The run."""
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    """Training on the answers of a teacher."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """Which states of the run are kept."""
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    """Processes that train together."""
    log: LogConfig = field(default_factory=LogConfig)
    """What a run reports."""

    def __post_init__(self) -> None:
        if self.schedule.warmup_epochs >= self.training.epochs:
            limit = f"must be below training.epochs (={self.training.epochs})"
            raise SettingError("schedule.warmup_epochs", limit)
        milestones = self.schedule.milestones
        if milestones and milestones[-1] >= self.training.epochs:
            raise SettingError(
                "schedule.milestones",
                f"{milestones[-1]:g} has no effect: training.epochs is {self.training.epochs}",
            )
        wrong = growing_resolution.problem_in_run(
            self.training.resolution_steps, self.data.resolution, self.training.epochs
        )
        if wrong:
            raise SettingError("training.resolution_steps", wrong)
        short_side = self.validation.short_side
        if short_side is not None and short_side < self.data.resolution:
            limit = f"must be at least data.resolution (={self.data.resolution})"
            raise SettingError("validation.short_side", limit)
