"""The experiment: everything a search needs, as frozen data."""

from dataclasses import dataclass, field

from scalesearch.architectures.budget import Budget
from scalesearch.experiment.baselines import BaselineSpec
from scalesearch.experiment.refusals import raise_problems
from scalesearch.experiment.search import SearchSpec
from scalesearch.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Which images, and how many of them.

    ``source``: ``digits``, ``imagefolder:PATH``, ``hf:NAME`` of the Hugging Face hub, or
    ``cifar10``, ``cifar100``, ``mnist``, ``fashion_mnist``, which are downloaded, or read from a
    folder that has the archives (``cifar10:PATH``). ``train_samples``, ``validation_samples``: how
    many are drawn (stratified, seeded); None takes all of training, and a tenth of it to validate
    on where the source has no validation images of its own. ``pixels``: side of the square the
    images are stored at; None keeps them as they are where all are equal squares, and takes the
    smallest short side where they are not. ``skip_corrupt``: leave unreadable images out instead
    of refusing them. ``resident``: hold the images of ``imagefolder`` and ``hf`` in memory, or
    read each batch from disk; None holds them where they take less than half of what is free. Both
    give the same bits.
    """

    source: str = "digits"
    train_samples: int | None = None
    validation_samples: int | None = None
    pixels: int | None = None
    skip_corrupt: bool = False
    resident: bool | None = None

    def __post_init__(self) -> None:
        raise_problems(
            f"{name}: need at least 1, got {value}"
            for name in ("train_samples", "validation_samples", "pixels")
            if (value := getattr(self, name)) is not None and value < 1
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A search from end to end. ``seed`` decides the split, the streams and the proposals."""

    name: str
    baseline: BaselineSpec = field(default_factory=BaselineSpec)
    data: DataSpec = field(default_factory=DataSpec)
    budget: Budget = field(default_factory=Budget)
    recipe: Recipe = field(default_factory=Recipe)
    search: SearchSpec = field(default_factory=SearchSpec)
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        is_plain_name = self.name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        problems = [
            f"name: need letters, digits, '-', '_' or '.', as it names a folder, got {self.name!r}"
        ]
        problems = problems if not is_plain_name or self.name.startswith(".") else []
        if self.seed < 0:
            problems.append(f"seed: need at least 0, got {self.seed}")
        raise_problems(problems)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds every candidate is trained with; equal seeds pair candidates."""
        return tuple(self.seed + replicate for replicate in range(self.search.seeds))

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which candidates are compared; the last is where training ends."""
        return self.search.rungs_for_epochs(self.recipe.epochs)
