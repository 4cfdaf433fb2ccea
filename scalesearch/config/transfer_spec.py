"""Settings of training that starts from a trained network."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from scalesearch.config.validation import Check, require_all

PART_WORDS = "stem, stage2, stage1..3, head, classifier, all-but-head, all or a number of stages"
"""Allowed names of parts."""

_PART_PATTERN = re.compile(
    r"(?P<one>stem|head|classifier)|(?P<group>all-but-head|all)"
    r"|stage(?P<first>[1-9]\d*)(\.\.(?P<last>[1-9]\d*))?|(?P<count>[1-9]\d*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfreezeStep:
    """Parts that are trained from an epoch on."""

    epoch: int
    """First epoch of their training, counted from 1."""
    parts: tuple[str, ...]
    """Names of the parts; see ``Transfer``."""

    def __post_init__(self) -> None:
        require_all(
            self,
            Check("epoch", self.epoch >= 2, "at least 2, the first that is not the beginning"),
            Check(
                "parts", bool(self.parts) and not unknown_words(self.parts), f"some of {PART_WORDS}"
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Training from the weights of another run; part of a recipe.

    The parts of a network are ``stem``, ``stage1`` and so on, ``head`` (between the last stage and
    the classifier) and ``classifier``. ``stage1..3`` names several, a number N the stem and the
    first N stages, ``all-but-head`` all but the classifier, and ``all`` all. Frozen parts keep
    their weights and the running statistics of their batch norms, which then normalise as in
    evaluation (as in keras.io/guides/transfer_learning); nothing is dropped in them.
    """

    classifier: Literal["new", "keep"] = "new"
    """``new`` for the images' classes, or ``keep`` if they are the same."""
    freeze: tuple[str, ...] = ()
    """Parts that are not trained."""
    unfreeze: tuple[UnfreezeStep, ...] = ()
    """Frozen parts that are trained later, by epoch."""
    body_rate: float = 1.0
    """Factor of the learning rate of all parts but the classifier."""
    statistics: Literal["network", "data"] = "network"
    """Mean and deviation of the trained network's file or of the new data."""

    def __post_init__(self) -> None:
        epochs = [step.epoch for step in self.unfreeze]
        require_all(
            self,
            Check("freeze", not unknown_words(self.freeze), f"some of {PART_WORDS}"),
            Check("unfreeze", epochs == sorted(set(epochs)), "rising epochs"),
            Check("freeze", bool(self.freeze) or not epochs, "the parts that unfreeze lets go"),
            Check("body_rate", 0 < self.body_rate <= 1, "a factor above 0, up to 1"),
        )

    def frozen_parts(self, epoch: int, stages: int) -> frozenset[str]:
        """Parts that are not trained in an epoch, of a network with this number of stages."""
        frozen = parts_from_words(self.freeze, stages)
        for step in self.unfreeze:
            if step.epoch <= epoch:
                frozen -= parts_from_words(step.parts, stages)
        return frozen

    def problems(self, stages: int) -> Iterator[str]:
        """Rules that this breaks for a network with this number of stages, one a line."""
        words_by_field = [
            ("freeze", self.freeze),
            *(("unfreeze", step.parts) for step in self.unfreeze),
        ]
        for field, words in words_by_field:
            if missing_stages := [word for word in words if _highest_stage(word) > stages]:
                got = ", ".join(missing_stages)
                yield f"{field}: need stages of the {stages} there are, got {got}"
                return
        if self.frozen_parts(1, stages) == parts_from_words(["all"], stages):
            yield f"freeze: need a part that moves in the first epoch, got {', '.join(self.freeze)}"
        frozen = parts_from_words(self.freeze, stages)
        for later in self.unfreeze:
            if not frozen & parts_from_words(later.parts, stages):
                got = f"{', '.join(later.parts)} at epoch {later.epoch}"
                yield f"unfreeze: need a part that is still frozen then, got {got}"
            frozen -= parts_from_words(later.parts, stages)


def part_names(stages: int) -> tuple[str, ...]:
    """Parts of a network with this number of stages, from the image on."""
    numbered = (f"stage{number}" for number in range(1, stages + 1))
    return ("stem", *numbered, "head", "classifier")


def parts_from_words(words: Iterable[str], stages: int) -> frozenset[str]:
    """Parts that known words name, of a network with this number of stages."""
    all_parts = part_names(stages)
    chosen: set[str] = set()
    for word in words:
        match = _PART_PATTERN.fullmatch(word)
        if match is None:
            raise ValueError(f"need {PART_WORDS}, got {word!r}")
        if match["one"]:
            chosen.add(word)
        elif match["group"]:
            chosen.update(all_parts if word == "all" else all_parts[:-1])
        elif match["count"]:
            chosen.update(all_parts[: 1 + min(stages, int(word))])
        else:
            last = int(match["last"] or match["first"])
            chosen.update(all_parts[int(match["first"]) : 1 + min(stages, last)])
    return frozenset(chosen)


def unknown_words(words: Iterable[str]) -> list[str]:
    """Words that name no part of any network."""
    return [
        word
        for word in words
        if not (match := _PART_PATTERN.fullmatch(word)) or _is_reversed_range(match)
    ]


def _is_reversed_range(match: re.Match[str]) -> bool:
    """Whether a match is a range that runs backwards."""
    return bool(match["last"]) and int(match["last"]) < int(match["first"])


def _highest_stage(word: str) -> int:
    """Last stage that a word needs; 0 if it needs none."""
    match = _PART_PATTERN.fullmatch(word)
    return int(match["last"] or match["first"] or match["count"] or 0) if match else 0
