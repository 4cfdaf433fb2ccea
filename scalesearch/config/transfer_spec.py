"""How a network that has been trained is trained on for other images, as data."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from scalesearch.config.validation import Check, require_all

PART_WORDS = "stem, stage2, stage1..3, head, classifier, all-but-head, all or a number of stages"
"""What a part may be called."""

_PART_PATTERN = re.compile(
    r"(?P<one>stem|head|classifier)|(?P<group>all-but-head|all)"
    r"|stage(?P<first>[1-9]\d*)(\.\.(?P<last>[1-9]\d*))?|(?P<count>[1-9]\d*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfreezeStep:
    """Parts that move from the beginning of an epoch on, counted from 1."""

    epoch: int
    parts: tuple[str, ...]

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
    unfreeze: tuple[UnfreezeStep, ...] = ()
    body_rate: float = 1.0
    statistics: Literal["network", "data"] = "network"

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
        """The parts of a network of so many stages that do not move in an epoch."""
        frozen = parts_from_words(self.freeze, stages)
        for step in self.unfreeze:
            if step.epoch <= epoch:
                frozen -= parts_from_words(step.parts, stages)
        return frozen

    def problems(self, stages: int) -> Iterator[str]:
        """The rules that this breaks for a network of so many stages, one a line."""
        words_by_field = [
            ("freeze", self.freeze),
            *(("unfreeze", step.parts) for step in self.unfreeze),
        ]
        for field, words in words_by_field:
            if missing_stages := [word for word in words if _highest_stage(word) > stages]:
                yield f"{field}: need stages of the {stages} there are, got {', '.join(missing_stages)}"
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
    """The parts of a network of so many stages, from the image on."""
    numbered = (f"stage{number}" for number in range(1, stages + 1))
    return ("stem", *numbered, "head", "classifier")


def parts_from_words(words: Iterable[str], stages: int) -> frozenset[str]:
    """The parts that known words name, of a network of so many stages."""
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
    """The words that name no part of any network."""
    return [
        word
        for word in words
        if not (match := _PART_PATTERN.fullmatch(word)) or _is_reversed_range(match)
    ]


def _is_reversed_range(match: re.Match[str]) -> bool:
    """Whether a match is a range that runs backwards."""
    return bool(match["last"]) and int(match["last"]) < int(match["first"])


def _highest_stage(word: str) -> int:
    """The last stage that a word needs; 0 where it needs none."""
    match = _PART_PATTERN.fullmatch(word)
    return int(match["last"] or match["first"] or match["count"] or 0) if match else 0
