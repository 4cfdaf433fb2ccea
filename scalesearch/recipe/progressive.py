"""Training that begins on small images (arXiv:2104.00298, section 4)."""

from dataclasses import dataclass
from typing import Literal

from scalesearch.recipe.checks import Check, require_all


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
