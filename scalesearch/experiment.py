"""One YAML file -> one Experiment; the only user of yaml and pydantic."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Which images, and how many of them.

    ``source``: ``digits`` or ``imagefolder:PATH``. ``train_samples``, ``validation_samples``: how
    many are drawn (stratified, seeded); None takes all of training, and a tenth of it to validate
    on where the source has no validation images of its own. ``pixels``: side of the square the
    images are stored at; None keeps them as they are where all are equal squares, and takes the
    smallest short side where they are not. ``skip_corrupt``: leave unreadable images out instead
    of refusing them.
    """

    source: str = "digits"
    train_samples: int | None = None
    validation_samples: int | None = None
    pixels: int | None = None
    skip_corrupt: bool = False

    def __post_init__(self) -> None:
        problems = [
            f"{name}: need at least 1, got {value}"
            for name in ("train_samples", "validation_samples", "pixels")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if problems:
            raise ValueError("; ".join(problems))
