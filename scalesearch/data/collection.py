"""All images of a source, and the seeded split into train, validation and test."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from scalesearch.config.experiment import DataSpec
from scalesearch.data.dataset import Split
from scalesearch.data.streaming import MappedImages
from scalesearch.errors import DataError

Part = Literal["train", "validation", "test"]
RowIndices = NDArray[np.int64]

TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.1
TEST_SEED = 0
"""Seed of the ranking that test images are drawn from, for every seed of a run."""


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Every image of a source, before the split.

    ``where``: the source's name in messages. ``images``: (N, C, H, W), in memory or on disk.
    ``names``: one for each image, unique within its part and independent of where the source is
    stored. ``parts``: the source's own part of each image; a part that it lacks is drawn from
    ``train``.
    """

    where: str
    images: NDArray[np.uint8] | MappedImages
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    parts: tuple[Part, ...]
    class_names: tuple[str, ...]
    allows_flip: bool

    def split(self, rows: RowIndices, *, resident: bool) -> Split:
        """Images and labels of these rows; on disk if stored there, unless ``resident``."""
        labels = torch.from_numpy(self.labels[rows])
        if not isinstance(self.images, MappedImages):
            return Split(torch.from_numpy(self.images[rows]), labels)
        images = self.images.subset(rows)
        return Split(images.take(torch.arange(len(rows))) if resident else images, labels)


@dataclass(frozen=True, slots=True, eq=False)
class SplitRows:
    """Ascending, disjoint rows of a collection."""

    train: RowIndices
    validation: RowIndices
    test: RowIndices


Strata = tuple[RowIndices, ...]
"""Rows of each class, in the order of the seeded ranking."""


def draw_splits(collection: Collection, spec: DataSpec, seed: int) -> SplitRows:
    """Stratified rows for training, validation and test.

    Test is the same for every seed, so no seed trains on another's test images. The other images
    are ranked by the seed; validation is taken from the front and training from the back, so a
    larger sample contains the smaller one. Every class keeps an image to train on. Raises
    DataError if more samples are asked for than there are.
    """
    remaining, given_validation, test = (
        _rank_by_hash(collection, _rows_by_class(collection, part), TEST_SEED)
        for part in ("train", "validation", "test")
    )
    if not _row_count(test):
        test, remaining = _take_first(remaining, _fraction_count(TEST_FRACTION, remaining))
    remaining, given_validation = (
        _rank_by_hash(collection, strata, seed) for strata in (remaining, given_validation)
    )
    validation, remaining = _split_validation(collection, spec, remaining, given_validation)
    available = _row_count(remaining)
    requested = available if spec.train_samples is None else spec.train_samples
    if requested > available:
        raise DataError(
            f"{collection.where}: need train_samples of at most {available} (of "
            f"{len(collection.labels)} images {_row_count(test)} are for test and "
            f"{_row_count(validation)} "
            f"for validation), got {requested}; ask for fewer"
        )
    return SplitRows(*map(_sorted_rows, (_take_last(remaining, requested), validation, test)))


def _split_validation(
    collection: Collection, spec: DataSpec, remaining: Strata, given_validation: Strata
) -> tuple[Strata, Strata]:
    """Strata for validation, and those left for training."""
    requested = spec.validation_samples
    if _row_count(given_validation):
        max_samples = _row_count(given_validation)
        reason = "the source has no more validation images"
    else:
        max_samples = _row_count(remaining) - len(remaining)
        reason = "every class keeps an image to train on"
    if requested is not None and requested > max_samples:
        raise DataError(
            f"{collection.where}: need validation_samples of at most {max_samples} ({reason}), "
            f"got {requested}; "
            "ask for fewer"
        )
    if _row_count(given_validation):
        return (
            given_validation if requested is None else _take_last(given_validation, requested)
        ), remaining
    return _take_first(
        remaining,
        _fraction_count(VALIDATION_FRACTION, remaining) if requested is None else requested,
    )


def _rank_by_hash(collection: Collection, strata: Strata, seed: int) -> Strata:
    """Rows of each class, ordered by a hash of seed and name.

    A hash does not change with the version of a random generator, and new images leave the order
    of the others unchanged.
    """
    ranks = (
        sorted(rows, key=lambda row: _rank_hash(seed, collection.names[row])) for rows in strata
    )
    return tuple(np.array(rows, dtype=np.int64) for rows in ranks)


def _rows_by_class(collection: Collection, part: Part) -> Strata:
    """Rows of one part by class."""
    rows = [row for row, row_part in enumerate(collection.parts) if row_part == part]
    strata: tuple[list[int], ...] = tuple([] for _ in collection.class_names)
    for row in rows:
        strata[collection.labels[row]].append(row)
    return tuple(np.array(stratum, dtype=np.int64) for stratum in strata)


def _rank_hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()


def _take_first(strata: Strata, total: int) -> tuple[Strata, Strata]:
    """First ``total`` rows, in proportion to what each class can spare, and the rest."""
    counts = _counts(strata)
    quotas = proportional_quotas(counts - 1, total)
    first_rows = tuple(stratum[:quota] for stratum, quota in zip(strata, quotas, strict=True))
    remaining = tuple(stratum[quota:] for stratum, quota in zip(strata, quotas, strict=True))
    return first_rows, remaining


def _take_last(strata: Strata, total: int) -> Strata:
    """Last ``total`` rows in proportion to the classes, at least one of each if possible."""
    counts = _counts(strata)
    least = np.minimum(counts, 1)
    if total < least.sum():
        least = np.zeros_like(counts)
    quotas = least + proportional_quotas(counts - least, total - int(least.sum()))
    return tuple(
        stratum[len(stratum) - quota :] for stratum, quota in zip(strata, quotas, strict=True)
    )


def proportional_quotas(counts: RowIndices, total: int) -> RowIndices:
    """Integers in proportion to ``counts`` that sum to ``total``.

    Largest remainders (Hamilton's method), exact in integers; ties go to the earlier class.
    """
    available = int(counts.sum())
    if not 0 <= total <= available:
        raise ValueError(f"need 0 <= total <= {available}, got total={total}")
    quotas, remainders = np.divmod(counts * total, max(available, 1))
    missing = total - int(quotas.sum())
    quotas[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return quotas


def _fraction_count(fraction: float, strata: Strata) -> int:
    return max(1, round(fraction * _row_count(strata)))


def _counts(strata: Strata) -> RowIndices:
    return np.array([len(stratum) for stratum in strata], dtype=np.int64)


def _row_count(strata: Strata) -> int:
    return sum(len(stratum) for stratum in strata)


def _sorted_rows(strata: Strata) -> RowIndices:
    return np.sort(np.concatenate(strata))
