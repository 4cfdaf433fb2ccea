"""Everything about one training run except architecture, data and seed."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained; part of a job's identity (see ``training.job``).

    ``learning_rate`` is for the whole batch, reached after ``warmup_epochs`` (may be fractional)
    and brought to zero by the schedule at ``epochs``. ``weight_decay`` spares biases and
    normalisation. ``crop``: the random shift, as a fraction of the image's side, in each direction.
    ``flip``: mirror half of the images left to right; None leaves it to the data (digits are not
    mirrored). ``dropout`` acts before the classifier; ``drop_connect`` is the drop rate of the last
    residual block, rising linearly from zero. ``norm_momentum``: the weight of a new batch in the
    running statistics of batch norm; the papers' 0.01 remembers the first weights throughout the
    few hundred steps of a proxy. ``initialisation``: see ``nets.initialise``. ``threads``: CPU
    threads of one run; sums are split by thread, so that another number changes the last bits.
    """

    epochs: int = 3
    batch_size: int = 64
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: float = 0.5
    label_smoothing: float = 0.1
    crop: float = 0.125
    flip: bool | None = None
    dropout: float = 0.0
    drop_connect: float = 0.0
    norm_momentum: float = 0.1
    initialisation: Literal["tf", "fan_in"] = "tf"
    precision: Literal["fp32"] = "fp32"
    threads: int = 1

    def __post_init__(self) -> None:
        problems = [
            f"{name}: need {rule}, got {getattr(self, name)!r}"
            for name, holds, rule in (
                ("epochs", self.epochs >= 1, "at least 1"),
                ("batch_size", self.batch_size >= 1, "at least 1"),
                ("learning_rate", 0 < self.learning_rate < math.inf, "a rate above 0"),
                ("momentum", 0 <= self.momentum < 1, "0 <= momentum < 1"),
                ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
                ("warmup_epochs", 0 <= self.warmup_epochs <= self.epochs, "0 to epochs"),
                ("label_smoothing", 0 <= self.label_smoothing < 1, "0 <= label_smoothing < 1"),
                ("crop", 0 <= self.crop <= 0.5, "0 to 0.5"),
                ("dropout", 0 <= self.dropout < 1, "0 <= dropout < 1"),
                ("drop_connect", 0 <= self.drop_connect < 1, "0 <= drop_connect < 1"),
                ("norm_momentum", 0 < self.norm_momentum <= 1, "0 < norm_momentum <= 1"),
                ("threads", self.threads >= 1, "at least 1"),
            )
            if not holds
        ]
        if problems:
            raise ValueError("\n".join(problems))


PRESETS: dict[str, Recipe] = {
    "fast": Recipe(batch_size=32, learning_rate=0.05, initialisation="fan_in"),
}
"""Named recipes; ``recipe: {preset: fast, epochs: 9}`` starts from one and changes a part."""
