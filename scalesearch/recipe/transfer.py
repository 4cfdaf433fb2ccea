"""How a network that has been trained is trained on for other images, as data."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from scalesearch.recipe.checks import Check, refuse

WORDS = "stem, stage2, stage1..3, head, classifier, all-but-head, all or a number of stages"
"""What a part may be called."""

_WORD = re.compile(
    r"(?P<one>stem|head|classifier)|(?P<group>all-but-head|all)"
    r"|stage(?P<first>[1-9]\d*)(\.\.(?P<last>[1-9]\d*))?|(?P<count>[1-9]\d*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfreeze:
    """Parts that move from the beginning of an epoch on, counted from 1."""

    epoch: int
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        refuse(
            self,
            Check("epoch", self.epoch >= 2, "at least 2, the first that is not the beginning"),
            Check("parts", bool(self.parts) and not unknown(self.parts), f"some of {WORDS}"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """How training goes on from the weights of another run; part of a recipe.

    The parts of a network are ``stem``, ``stage1`` and so on, ``head`` (what stands between the
    last stage and the classifier) and ``classifier``. ``stage1..3`` names several, a number N the
    stem and the first N stages, ``all-but-head`` all but the classifier, and ``all`` all.

    ``classifier``: ``new`` for the images' classes, or ``keep``, where they are the same.
    ``freeze``: parts that do not move: neither their weights nor the running statistics of their
    batch norms, which normalise by these as in evaluation (what tf.keras' guide to transfer
    learning asks for; keras.io/guides/transfer_learning); within them nothing is dropped.
    ``unfreeze``: which of them move later, one epoch after the other. ``body_rate``: what the
    learning rate is multiplied with for all but the classifier. ``statistics``: by whose mean and
    deviation images are normalised, the trained network's, where its file has them, or the new
    images'; ``augmentation.normalisation: imagenet`` goes before both.
    """

    classifier: Literal["new", "keep"] = "new"
    freeze: tuple[str, ...] = ()
    unfreeze: tuple[Unfreeze, ...] = ()
    body_rate: float = 1.0
    statistics: Literal["network", "data"] = "network"

    def __post_init__(self) -> None:
        epochs = [later.epoch for later in self.unfreeze]
        refuse(
            self,
            Check("freeze", not unknown(self.freeze), f"some of {WORDS}"),
            Check("unfreeze", epochs == sorted(set(epochs)), "rising epochs"),
            Check("freeze", bool(self.freeze) or not epochs, "the parts that unfreeze lets go"),
            Check("body_rate", 0 < self.body_rate <= 1, "a factor above 0, up to 1"),
        )

    def frozen(self, epoch: int, stages: int) -> frozenset[str]:
        """The parts of a network of so many stages that do not move in an epoch."""
        still = parts(self.freeze, stages)
        for later in self.unfreeze:
            if later.epoch <= epoch:
                still -= parts(later.parts, stages)
        return still

    def problems(self, stages: int) -> Iterator[str]:
        """The rules that this breaks for a network of so many stages, one a line."""
        named = [("freeze", self.freeze), *(("unfreeze", one.parts) for one in self.unfreeze)]
        for field, words in named:
            if beyond := [word for word in words if _highest(word) > stages]:
                yield f"{field}: need stages of the {stages} there are, got {', '.join(beyond)}"
                return
        if self.frozen(1, stages) == parts(["all"], stages):
            yield f"freeze: need a part that moves in the first epoch, got {', '.join(self.freeze)}"
        still = parts(self.freeze, stages)
        for later in self.unfreeze:
            if not still & parts(later.parts, stages):
                got = f"{', '.join(later.parts)} at epoch {later.epoch}"
                yield f"unfreeze: need a part that is still frozen then, got {got}"
            still -= parts(later.parts, stages)


def part_names(stages: int) -> tuple[str, ...]:
    """The parts of a network of so many stages, from the image on."""
    numbered = (f"stage{number}" for number in range(1, stages + 1))
    return ("stem", *numbered, "head", "classifier")


def parts(words: Iterable[str], stages: int) -> frozenset[str]:
    """The parts that known words name, of a network of so many stages."""
    every = part_names(stages)
    named: set[str] = set()
    for word in words:
        found = _WORD.fullmatch(word)
        if found is None:
            raise ValueError(f"need {WORDS}, got {word!r}")
        if found["one"]:
            named.add(word)
        elif found["group"]:
            named.update(every if word == "all" else every[:-1])
        elif found["count"]:
            named.update(every[: 1 + min(stages, int(word))])
        else:
            last = int(found["last"] or found["first"])
            named.update(every[int(found["first"]) : 1 + min(stages, last)])
    return frozenset(named)


def unknown(words: Iterable[str]) -> list[str]:
    """The words that name no part of any network."""
    return [word for word in words if not (found := _WORD.fullmatch(word)) or _empty(found)]


def _empty(found: re.Match[str]) -> bool:
    """Whether a match is a range that runs backwards."""
    return bool(found["last"]) and int(found["last"]) < int(found["first"])


def _highest(word: str) -> int:
    """The last stage that a word needs; 0 where it needs none."""
    found = _WORD.fullmatch(word)
    return int(found["last"] or found["first"] or found["count"] or 0) if found else 0
