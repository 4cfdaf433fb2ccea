"""The forms of one network beside each other: how large, how fast, how right."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scalesearch.export.agreement import Answers, random_batches
from scalesearch.export.folded import folded
from scalesearch.export.onnx_files import answers
from scalesearch.export.pictures import Pictures, torch_answers
from scalesearch.export.programs import input_size, read_program
from scalesearch.weights import Saved

LEAST_TURN = 0.005
"""Seconds that a turn takes at least; a pass that is shorter is repeated within its turn."""

SPREAD = (10, 90)
"""Percentiles between which most rounds' ratios lie."""


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """A form of the network: its file, where it has one, and what it answers."""

    name: str
    answers: Answers
    path: Path | None = None

    @property
    def bytes(self) -> int | None:
        return None if self.path is None else self.path.stat().st_size


@dataclass(frozen=True, slots=True)
class Rightness:
    """``images``: of the test. ``same``: the part that the eager network answers alike."""

    images: int
    accuracy: float
    same: float


@dataclass(frozen=True, slots=True)
class Pace:
    """``milliseconds`` of a pass, the median of rounds; ``ratio``: to the eager network's in the
    same round, the median, of which the middle 80% lie from ``low`` to ``high``."""

    batch: int
    milliseconds: float
    ratio: float
    low: float
    high: float


def comparison(
    saved: Saved,
    files: Mapping[str, Path],
    pictures: Pictures | None = None,
    *,
    batches: Sequence[int] = (1,),
    threads: int = 1,
    rounds: int = 20,
) -> list[dict[str, Any]]:
    """A flat row for each form of the network and batch size: its name, its bytes, accuracy and
    answers like the eager network's on all test images (None without ``pictures``), and its pace.
    """
    forms = variants(saved, files, threads)
    right = [None] * len(forms) if pictures is None else rightness(forms, pictures)
    unknown = dict.fromkeys(("images", "accuracy", "same"))
    rows = []
    for batch in batches:
        images_BCHW = inputs(saved, batch, pictures)
        paced = paces(forms, images_BCHW, threads=threads, rounds=rounds)
        for form, found, pace in zip(forms, right, paced, strict=True):
            told = unknown if found is None else asdict(found)
            rows.append({"form": form.name, "bytes": form.bytes, **told, **asdict(pace)})
    return rows


def variants(saved: Saved, files: Mapping[str, Path], threads: int = 1) -> list[Variant]:
    """The network in PyTorch's eager mode, the same folded, and the files that are readable here.

    ``files``: by the names of their formats; others than these three kinds are left out.
    """
    found = [
        Variant("eager", partial(torch_answers, _channels_last(copy.deepcopy(saved.network)))),
        Variant("folded", partial(torch_answers, _channels_last(folded(saved.network)))),
    ]
    for name, path in files.items():
        if path.suffix == ".pt2":
            found.append(Variant(name, partial(torch_answers, read_program(path)[0]), path))
        elif path.suffix == ".onnx":
            found.append(Variant(name, answers(path, threads=threads), path))
    return found


def rightness(forms: Sequence[Variant], pictures: Pictures) -> list[Rightness]:
    """Each form's answers to all test images; the first form is the one to be like."""
    answered: list[list[Tensor]] = [[] for _ in forms]
    truth = []
    for images, labels in pictures.shown(pictures.test):
        truth.append(labels)
        for own, form in zip(answered, forms, strict=True):
            own.append(form.answers(images).argmax(1))
    labels_N = torch.cat(truth)
    chosen = [torch.cat(own) for own in answered]
    return [
        Rightness(len(labels_N), _part(own == labels_N), _part(own == chosen[0])) for own in chosen
    ]


def paces(
    forms: Sequence[Variant], images_BCHW: Tensor, *, threads: int = 1, rounds: int = 20
) -> list[Pace]:
    """How long each form takes for these images, by turns: each round times every form once, so
    that a busy or hot moment meets all of them."""
    with _threads(threads):
        runs = [partial(form.answers, images_BCHW) for form in forms]
        taken = np.array(turns(runs, rounds))
    ratios = taken / taken[:, :1]
    found = []
    for own, ratio in zip(taken.T, ratios.T, strict=True):
        low, high = np.percentile(ratio, SPREAD)
        found.append(
            Pace(
                batch=len(images_BCHW),
                milliseconds=1000 * float(np.median(own)),
                ratio=float(np.median(ratio)),
                low=float(low),
                high=float(high),
            )
        )
    return found


def turns(runs: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each run in each round, (rounds, runs). A short one is repeated in its turn."""
    counts = []
    for run in runs:
        run()  # allocates, chooses algorithms
        once = median(_seconds(run, 1) for _ in range(3))
        counts.append(max(1, min(100, math.ceil(LEAST_TURN / max(once, 1e-9)))))
    return [
        [_seconds(run, count) for run, count in zip(runs, counts, strict=True)]
        for _ in range(rounds)
    ]


def inputs(saved: Saved, batch: int, pictures: Pictures | None) -> Tensor:
    """A batch to time with: test images where there are some, else noise."""
    if pictures is None:
        return random_batches(*input_size(saved), [batch])[0]
    parts = [images for images, _ in pictures.shown(pictures.test, batch)]
    images_BCHW = torch.cat(parts)
    return images_BCHW.repeat(-(-batch // len(images_BCHW)), 1, 1, 1)[:batch]


def _seconds(run: Callable[[], object], count: int) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - begun) / count


def _part(hits: Tensor) -> float:
    return float(hits.double().mean())


def _channels_last(network: nn.Module) -> nn.Module:
    moved: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many CPU threads of PyTorch's; the caller's are put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
