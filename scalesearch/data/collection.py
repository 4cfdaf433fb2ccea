"""All images of a source, and the seeded draw of train, validation and test from them."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from scalesearch.data.dataset import Split
from scalesearch.data.streaming import MappedImages
from scalesearch.errors import DataError
from scalesearch.experiment import DataSpec

Part = Literal["train", "validation", "test"]
Rows = NDArray[np.int64]

TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.1
TEST_SEED = 0
"""Ranks the images that test is drawn from, whatever the seed of a run."""


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Every image of a source, before any is drawn.

    ``where``: the source as messages name it. ``images``: (N, C, H, W), in memory or on disk.
    ``names``: one for each image, unique within its part and independent of where the source lies.
    ``parts``: the part that the source itself puts each image in; what it does not provide is
    drawn from ``train``.
    """

    where: str
    images: NDArray[np.uint8] | MappedImages
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    parts: tuple[Part, ...]
    class_names: tuple[str, ...]
    mirrors: bool

    def split(self, rows: Rows, *, resident: bool) -> Split:
        """The images and labels of these rows; on disk if they are there, unless ``resident``."""
        labels = torch.from_numpy(self.labels[rows])
        if not isinstance(self.images, MappedImages):
            return Split(torch.from_numpy(self.images[rows]), labels)
        images = self.images.part(rows)
        return Split(images.take(torch.arange(len(rows))) if resident else images, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """Ascending rows of a collection, disjoint."""

    train: Rows
    validation: Rows
    test: Rows


Strata = tuple[Rows, ...]
"""Rows of each class, in the order of the seeded ranking."""


def draw(collection: Collection, spec: DataSpec, seed: int) -> Draw:
    """Stratified rows for training, validation and test.

    Test is the same for every seed, so that no seed trains on what another is tested on. From the
    other images, ranked by the seed, validation is taken from the front and training from the
    back; so a larger sample contains the smaller one. Every class keeps an image to train on.

    Raises DataError where more samples are asked for than there are.
    """
    rest, given_validation, test = (
        _ranked(collection, _strata(collection, part), TEST_SEED)
        for part in ("train", "validation", "test")
    )
    if not _size(test):
        test, rest = _front(rest, _fraction(TEST_FRACTION, rest))
    rest, given_validation = (
        _ranked(collection, strata, seed) for strata in (rest, given_validation)
    )
    validation, rest = _validation(collection, spec, rest, given_validation)
    available = _size(rest)
    wanted = available if spec.train_samples is None else spec.train_samples
    if wanted > available:
        raise DataError(
            f"{collection.where}: need train_samples of at most {available} (of "
            f"{len(collection.labels)} images {_size(test)} are for test and {_size(validation)} "
            f"for validation), got {wanted}; ask for fewer"
        )
    return Draw(*map(_joined, (_back(rest, wanted), validation, test)))


def _validation(
    collection: Collection, spec: DataSpec, rest: Strata, given: Strata
) -> tuple[Strata, Strata]:
    """The strata to validate on, and those left to train on."""
    wanted = spec.validation_samples
    if _size(given):
        most = _size(given)
        why = "the source has no more validation images"
    else:
        most = _size(rest) - len(rest)
        why = "every class keeps an image to train on"
    if wanted is not None and wanted > most:
        raise DataError(
            f"{collection.where}: need validation_samples of at most {most} ({why}), got {wanted}; "
            "ask for fewer"
        )
    if _size(given):
        return (given if wanted is None else _back(given, wanted)), rest
    return _front(rest, _fraction(VALIDATION_FRACTION, rest) if wanted is None else wanted)


def _ranked(collection: Collection, strata: Strata, seed: int) -> Strata:
    """Each class's rows in the order of a hash of seed and name.

    A hash, because it does not change with the version of a random generator, and because images
    that are added to a source leave the order of the others alone.
    """
    ranks = (sorted(rows, key=lambda row: _rank(seed, collection.names[row])) for rows in strata)
    return tuple(np.array(rows, dtype=np.int64) for rows in ranks)


def _strata(collection: Collection, part: Part) -> Strata:
    """Rows of one part by class."""
    rows = [row for row, its_part in enumerate(collection.parts) if its_part == part]
    strata: tuple[list[int], ...] = tuple([] for _ in collection.class_names)
    for row in rows:
        strata[collection.labels[row]].append(row)
    return tuple(np.array(stratum, dtype=np.int64) for stratum in strata)


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()


def _front(strata: Strata, total: int) -> tuple[Strata, Strata]:
    """The first ``total`` rows, in proportion to what each class can spare, and the rest."""
    counts = _counts(strata)
    quotas = apportioned(counts - 1, total)
    taken = tuple(stratum[:quota] for stratum, quota in zip(strata, quotas, strict=True))
    rest = tuple(stratum[quota:] for stratum, quota in zip(strata, quotas, strict=True))
    return taken, rest


def _back(strata: Strata, total: int) -> Strata:
    """The last ``total`` rows in proportion to the classes, one of each where that can be."""
    counts = _counts(strata)
    least = np.minimum(counts, 1)
    if total < least.sum():
        least = np.zeros_like(counts)
    quotas = least + apportioned(counts - least, total - int(least.sum()))
    return tuple(
        stratum[len(stratum) - quota :] for stratum, quota in zip(strata, quotas, strict=True)
    )


def apportioned(counts: Rows, total: int) -> Rows:
    """Whole numbers in proportion to ``counts`` that sum to ``total`` and exceed none of them.

    Largest remainders (Hamilton's method), exact in whole numbers; ties go to the earlier class.
    """
    available = int(counts.sum())
    if not 0 <= total <= available:
        raise ValueError(f"need 0 <= total <= {available}, got total={total}")
    quotas, remainders = np.divmod(counts * total, max(available, 1))
    missing = total - int(quotas.sum())
    quotas[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return quotas


def _fraction(fraction: float, strata: Strata) -> int:
    return max(1, round(fraction * _size(strata)))


def _counts(strata: Strata) -> Rows:
    return np.array([len(stratum) for stratum in strata], dtype=np.int64)


def _size(strata: Strata) -> int:
    return sum(len(stratum) for stratum in strata)


def _joined(strata: Strata) -> Rows:
    return np.sort(np.concatenate(strata))
