"""What is done to the images of a run, as data.

Training that begins on small images (arXiv:2104.00298, section 4).

Everything about one training run except architecture, data and seed.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from scalesearch.config.transfer_spec import Transfer
from scalesearch.config.validation import Check, require_all

AugmentationPolicy: TypeAlias = Literal["none", "autoaugment", "randaugment", "trivialaugment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random changes of images in training, each by itself; 0, None or "none" leaves one out.

    ``crop``: a shift of up to this fraction of the side in each direction, filled by reflection.
    ``flip``: mirror half of the images left to right; None leaves it to the data (digits are not
    mirrored). ``resized_crop``: a window of this least fraction of the area, up to all of it, of
    aspect 3/4 to 4/3, resized (arXiv:1409.4842). ``rotation``: up to this many degrees either way;
    ``shift``: up to this fraction of the side; both fill with the nearest pixel. ``jitter``: range
    of brightness, contrast, saturation (factors 1 +- x) and hue (turns +- x, at most 0.5).
    ``cutout``: a square of this fraction of the side becomes the mean (arXiv:1708.04552).
    ``erasing``: the probability that a rectangle of 2% to 33% of the area becomes noise
    (arXiv:1708.04896). ``mixup``, ``cutmix``: alpha of the Beta distribution of the mixture with
    another image of the batch (arXiv:1710.09412, 1905.04899); where both are given, each batch's
    image takes one or the other by a coin. ``policy``: AutoAugment, RandAugment or TrivialAugment
    before all else (needs kornia). ``normalisation``: by the training images' own mean and
    deviation, or by ImageNet's.
    """

    crop: float = 0.125
    flip: bool | None = None
    resized_crop: float | None = None
    rotation: float = 0.0
    shift: float = 0.0
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    cutout: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    policy: AugmentationPolicy = "none"
    normalisation: Literal["data", "imagenet"] = "data"

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
    """The images' side over a run, as a fraction of the network's own resolution.

    ``start``: at the first epoch; 1 leaves the side alone. ``shape``: grows every epoch
    (``linear``) or in ``stages`` equally long steps. The last epoch has the full side, and
    validation always does. ``regularisation``: what part of dropout, drop-connect and of the
    strength of mixing acts at the first epoch (None: the same as ``start``); it rises along with
    the side to all of it, since small images need less.
    """

    start: float = 1.0
    shape: Literal["linear", "stepped"] = "linear"
    stages: int = 4
    regularisation: float | None = None

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
        """How far the side has grown at an epoch, counted from 1: 0 at the first, 1 at the last."""
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
        """The part of the regularisation that acts at an epoch."""
        least = self.start if self.regularisation is None else self.regularisation
        return least + (1 - least) * self.progress(epoch, epochs)


OptimizerName: TypeAlias = Literal["sgd", "adam", "adamw", "rmsprop"]
ScheduleName: TypeAlias = Literal["cosine", "constant", "exponential", "step", "plateau"]
Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16", "mixed"]
"""``mixed``: bfloat16 for 1x1 convolutions, linear layers and elementwise work, float32 for
depthwise convolutions, whose bfloat16 form is slow on a CPU. ``auto``: float32 on the CPU,
bfloat16 on CUDA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained; part of a job's identity (see ``training.job``).

    *Optimiser.* ``momentum`` is beta1 of Adam and AdamW; ``rmsprop_decay`` the memory of
    RMSProp's mean square; ``optimizer_eps`` None takes 1e-8, and 1e-3 for RMSProp, as the paper
    does. ``weight_decay`` spares biases and normalisation. ``clip_norm``: greatest norm of all
    gradients together. ``ema``: decay of the averaged weights, which are the ones validated.
    ``micro_batch``: images in one forward pass where the whole batch does not fit; gradients are
    accumulated, and batch norm sees the micro-batch, within which images are mixed, too.

    *Learning rate.* ``learning_rate`` is for ``learning_rate_batch`` images a step (None: for this
    recipe's batch) and scaled in proportion to ``batch_size``; it is reached after
    ``warmup_epochs`` (may be fractional). ``cosine`` brings it to zero at ``epochs``;
    ``exponential`` multiplies it by ``decay_rate`` every ``decay_epochs``, evenly over the steps,
    or once an epoch (``decay_per``); ``step`` the same in one leap every ``decay_epochs``;
    ``plateau`` when the validation loss has not fallen for more than ``plateau_patience`` epochs.
    ``learning_rate_rule``: how the rate follows the network's shape (see ``training.shape``).

    *Regularisation.* ``dropout`` acts before the classifier; ``drop_connect`` is the drop rate of
    the last residual block, rising linearly from zero; ``regularisation: scaled`` lets dropout
    grow with the network as the published family's does. ``patience``: stop when the validation
    accuracy has not risen for this many epochs, and go back to the weights of the best one.

    *Network.* ``norm_momentum``: the weight of a new batch in the running statistics of batch
    norm; the papers' 0.01 remembers the first weights throughout the few hundred steps of a proxy.
    ``initialisation`` and ``residual``: see ``nets.initialise``.

    *Evaluation.* Images are shown as their centre, enlarged ``evaluation_zoom`` times (None: 1.14
    where they are larger than the network's input, in a search the baseline's, so that all
    candidates see the same picture; else 1); ``evaluation_scale``: side of the validation images
    as a multiple of the network's resolution.

    *Transfer.* ``transfer``: how training goes on from a trained network's weights (see
    ``Transfer``); None where it does not.

    ``threads``: CPU threads of one run; sums are split by thread, so that another number changes
    the last bits.
    """

    epochs: int = 3
    batch_size: int = 64
    micro_batch: int | None = None
    optimizer: OptimizerName = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    rmsprop_decay: float = 0.9
    optimizer_eps: float | None = None
    weight_decay: float = 5e-4
    clip_norm: float | None = None
    ema: float | None = None
    learning_rate: float = 0.1
    learning_rate_batch: int | None = None
    learning_rate_rule: Literal["fixed", "depth", "tuned"] = "fixed"
    schedule: ScheduleName = "cosine"
    warmup_epochs: float = 0.5
    decay_rate: float = 0.97
    decay_epochs: float = 2.4
    decay_per: Literal["step", "epoch"] = "step"
    plateau_patience: int = 2
    patience: int | None = None
    label_smoothing: float = 0.1
    dropout: float = 0.0
    drop_connect: float = 0.0
    regularisation: Literal["fixed", "scaled"] = "fixed"
    norm_momentum: float = 0.1
    initialisation: Literal["tf", "fan_in"] = "tf"
    residual: Literal["tf", "zero", "scaled"] = "tf"
    augmentation: Augmentation = field(default_factory=Augmentation)
    progressive: ProgressiveResizing = field(default_factory=ProgressiveResizing)
    evaluation_zoom: float | None = None
    evaluation_scale: float = 1.0
    precision: Precision = "auto"
    threads: int = 1
    transfer: Transfer | None = None

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
