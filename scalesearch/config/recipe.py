"""Recipe of a training run: everything except architecture, data and seed."""

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from scalesearch.config.transfer_spec import Transfer
from scalesearch.config.validation import Check, require_all

AugmentationPolicy: TypeAlias = Literal["none", "autoaugment", "randaugment", "trivialaugment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random changes of training images; 0, None or "none" turns one off."""

    crop: float = 0.125
    """Shift of up to this fraction of the side in each direction, filled by reflection."""
    flip: bool | None = None
    """Mirror half of the images; None follows the data (digits are not mirrored)."""
    resized_crop: float | None = None
    """Least fraction of the area of a resized window, aspect 3/4 to 4/3 (arXiv:1409.4842)."""
    rotation: float = 0.0
    """Rotation of up to this many degrees either way, filled with the nearest pixel."""
    shift: float = 0.0
    """Shift of up to this fraction of the side, filled with the nearest pixel."""
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Range of brightness, contrast, saturation (factors 1 +- x) and hue (turns +- x <= 0.5)."""
    cutout: float = 0.0
    """Side of a square set to the mean, as a fraction of the side (arXiv:1708.04552)."""
    erasing: float = 0.0
    """Probability that a rectangle of 2% to 33% becomes noise (arXiv:1708.04896)."""
    mixup: float = 0.0
    """Alpha of mixup's Beta distribution (arXiv:1710.09412)."""
    cutmix: float = 0.0
    """Alpha of CutMix's Beta distribution (arXiv:1905.04899); with mixup, each image takes one."""
    policy: AugmentationPolicy = "none"
    """Augmentation policy applied first (needs kornia)."""
    normalisation: Literal["data", "imagenet"] = "data"
    """Mean and deviation of the training images, or ImageNet's."""

    def __post_init__(self) -> None:
        colours, hue = self.jitter[:3], self.jitter[3]
        require_all(
            self,
            Check("crop", 0 <= self.crop <= 0.5, "0 to 0.5"),
            Check(
                "resized_crop",
                self.resized_crop is None or 0 < self.resized_crop <= 1,
                "a fraction of the area above 0",
            ),
            Check("rotation", 0 <= self.rotation <= 180, "0 to 180 degrees"),
            Check("shift", 0 <= self.shift <= 0.5, "0 to 0.5"),
            Check(
                "jitter",
                all(0 <= c <= 1 for c in colours) and 0 <= hue <= 0.5,
                "three of 0 to 1 and a hue of 0 to 0.5",
            ),
            Check("cutout", 0 <= self.cutout <= 1, "0 to 1"),
            Check("erasing", 0 <= self.erasing <= 1, "a probability"),
            Check("mixup", 0 <= self.mixup < math.inf, "at least 0"),
            Check("cutmix", 0 <= self.cutmix < math.inf, "at least 0"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressiveResizing:
    """Side of the training images over a run; the last epoch has the full side.

    Validation always has the full side.
    """

    start: float = 1.0
    """Side at the first epoch as a fraction of the network's resolution; 1 keeps the side."""
    shape: Literal["linear", "stepped"] = "linear"
    """Growth every epoch (``linear``) or in ``stages`` equally long steps (``stepped``)."""
    stages: int = 4
    """Steps of the shape ``stepped``."""
    regularisation: float | None = None
    """Part of dropout, drop-connect and mixing at the first epoch (None: ``start``)."""

    def __post_init__(self) -> None:
        require_all(
            self,
            Check("start", 0 < self.start <= 1, "a fraction above 0"),
            Check("stages", self.stages >= 2, "at least 2"),
            Check(
                "regularisation",
                self.regularisation is None or 0 <= self.regularisation <= 1,
                "a fraction",
            ),
        )

    def progress(self, epoch: int, epochs: int) -> float:
        """Growth of the side at an epoch, counted from 1: 0 at the first, 1 at the last."""
        if not 1 <= epoch <= epochs:
            raise ValueError(f"need 1 <= epoch <= {epochs}, got epoch={epoch}")
        if epochs == 1:
            return 1.0
        if self.shape == "linear":
            return (epoch - 1) / (epochs - 1)
        stages = min(self.stages, epochs)
        return (epoch - 1) * stages // epochs / (stages - 1)

    def resolution(self, full: int, epoch: int, epochs: int) -> int:
        """Pixels per side at an epoch."""
        fraction = self.start + (1 - self.start) * self.progress(epoch, epochs)
        return max(1, round(full * fraction))

    def regularisation_strength(self, epoch: int, epochs: int) -> float:
        """Part of the regularisation that applies at an epoch."""
        least = self.start if self.regularisation is None else self.regularisation
        return least + (1 - least) * self.progress(epoch, epochs)


OptimizerName: TypeAlias = Literal["sgd", "adam", "adamw", "rmsprop"]
ScheduleName: TypeAlias = Literal["cosine", "constant", "exponential", "step", "plateau"]
Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16", "mixed"]
"""Number formats.

``mixed``: bfloat16 for 1x1 convolutions, linear layers and elementwise work, float32
for depthwise convolutions, whose bfloat16 form is slow on a CPU. ``auto``: float32 on the CPU,
bfloat16 on CUDA.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Training of a network; part of a job's identity (see ``training.job``)."""

    epochs: int = 3
    """Passes over the training images."""
    batch_size: int = 64
    """Images per optimiser step."""
    micro_batch: int | None = None
    """Images in one forward pass if the batch does not fit; batch norm and mixing see these."""
    optimizer: OptimizerName = "sgd"
    """Optimiser; ``rmsprop`` is TensorFlow's."""
    momentum: float = 0.9
    """Momentum; beta1 of Adam and AdamW."""
    nesterov: bool = True
    """Nesterov momentum of SGD."""
    rmsprop_decay: float = 0.9
    """Decay of RMSProp's mean square."""
    optimizer_eps: float | None = None
    """Epsilon of the optimiser; None takes 1e-8, and 1e-3 for RMSProp, as the paper does."""
    weight_decay: float = 5e-4
    """Weight decay; biases and normalisation are spared."""
    clip_norm: float | None = None
    """Largest norm of all gradients together; None does not clip."""
    ema: float | None = None
    """Decay of the averaged weights, which are then validated; None averages none."""
    learning_rate: float = 0.1
    """Peak learning rate for ``learning_rate_batch`` images a step."""
    learning_rate_batch: int | None = None
    """Batch of the learning rate, which scales with ``batch_size`` (None: ``batch_size``)."""
    learning_rate_rule: Literal["fixed", "depth", "tuned"] = "fixed"
    """Rate by the network's shape: the same, by depth, or swept (see ``training.lr_rules``)."""
    schedule: ScheduleName = "cosine"
    """Decay of the rate: to zero, none, by factors, in leaps, or when the loss stalls."""
    warmup_epochs: float = 0.5
    """Epochs until the peak rate; may be fractional."""
    decay_rate: float = 0.97
    """Factor of the schedules ``exponential``, ``step`` and ``plateau``."""
    decay_epochs: float = 2.4
    """Epochs per factor of ``exponential`` and ``step``."""
    decay_per: Literal["step", "epoch"] = "step"
    """Apply ``exponential`` every step or every epoch."""
    plateau_patience: int = 2
    """Epochs without a lower validation loss before ``plateau`` lowers the rate."""
    patience: int | None = None
    """Epochs without a higher accuracy before training stops at its best weights; None: never."""
    label_smoothing: float = 0.1
    """Label smoothing of the cross-entropy."""
    dropout: float = 0.0
    """Dropout before the classifier."""
    drop_connect: float = 0.0
    """Drop rate of the last residual block, rising linearly from zero."""
    regularisation: Literal["fixed", "scaled"] = "fixed"
    """Keep dropout, or let it grow with the network as in the published family."""
    norm_momentum: float = 0.1
    """Weight of a new batch in batch norm's statistics; the papers' 0.01 is slow for proxies."""
    initialisation: Literal["tf", "fan_in"] = "tf"
    """Rule of the initial weights; see ``models.initialisation``."""
    residual: Literal["tf", "zero", "scaled"] = "tf"
    """Initial weight of each residual branch's last norm."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Random changes of training images."""
    progressive: ProgressiveResizing = field(default_factory=ProgressiveResizing)
    """Side of the training images over a run."""
    evaluation_zoom: float | None = None
    """Enlargement of the centre in evaluation (None: 1.14 for larger images, else 1)."""
    evaluation_scale: float = 1.0
    """Side of validation images as a multiple of the network's resolution."""
    precision: Precision = "auto"
    """Number format."""
    threads: int = 1
    """CPU threads of a run; another number changes the last bits."""
    transfer: Transfer | None = None
    """Training from the weights of another run; None starts from new weights."""

    def __post_init__(self) -> None:
        require_all(self, *self._checks())

    def _checks(self) -> list[Check]:
        def positive(value: float | None) -> bool:
            return value is None or 0 < value < math.inf

        micro, zoom = self.micro_batch, self.evaluation_zoom
        mixing = self.augmentation.mixup > 0 or self.augmentation.cutmix > 0
        return [
            Check("epochs", self.epochs >= 1, "at least 1"),
            Check("batch_size", self.batch_size >= 1, "at least 1"),
            Check(
                "micro_batch",
                micro is None or (micro >= 1 and self.batch_size % micro == 0),
                f"a divisor of batch_size ({self.batch_size})",
            ),
            Check("micro_batch", not (mixing and micro == 1), "2 images to mix with one another"),
            Check("learning_rate", 0 < self.learning_rate < math.inf, "a rate above 0"),
            Check("learning_rate_batch", positive(self.learning_rate_batch), "at least 1"),
            Check("momentum", 0 <= self.momentum < 1, "0 <= momentum < 1"),
            Check("rmsprop_decay", 0 <= self.rmsprop_decay < 1, "0 <= rmsprop_decay < 1"),
            Check("optimizer_eps", positive(self.optimizer_eps), "a number above 0"),
            Check("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
            Check("clip_norm", positive(self.clip_norm), "a norm above 0"),
            Check("ema", self.ema is None or 0 < self.ema < 1, "0 < ema < 1"),
            Check(
                "warmup_epochs",
                0 <= self.warmup_epochs <= self.epochs,
                f"0 to epochs ({self.epochs})",
            ),
            Check("decay_rate", 0 < self.decay_rate <= 1, "0 < decay_rate <= 1"),
            Check("decay_epochs", 0 < self.decay_epochs < math.inf, "a number above 0"),
            Check("plateau_patience", self.plateau_patience >= 0, "at least 0"),
            Check("patience", self.patience is None or self.patience >= 1, "at least 1"),
            Check("label_smoothing", 0 <= self.label_smoothing < 1, "0 <= label_smoothing < 1"),
            Check("dropout", 0 <= self.dropout < 1, "0 <= dropout < 1"),
            Check("drop_connect", 0 <= self.drop_connect < 1, "0 <= drop_connect < 1"),
            Check("norm_momentum", 0 < self.norm_momentum <= 1, "0 < norm_momentum <= 1"),
            Check("evaluation_zoom", zoom is None or 1 <= zoom <= 2, "1 to 2"),
            Check("evaluation_scale", 0.25 <= self.evaluation_scale <= 4, "0.25 to 4"),
            Check("threads", self.threads >= 1, "at least 1"),
            Check(
                "transfer",
                self.transfer is None
                or all(step.epoch <= self.epochs for step in self.transfer.unfreeze),
                f"an unfreeze.epoch of at most epochs ({self.epochs})",
            ),
        ]
