"""Where trained networks look, on the same images: numbers into a file, and the figure of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalesearch.ablations.found import Ablated
from scalesearch.ablations.rows import Row
from scalesearch.architectures import Architecture
from scalesearch.errors import SearchError
from scalesearch.plots import write_figure
from scalesearch.plots.class_maps import ClassMaps, Panel, class_maps_figure
from scalesearch.records import read_records
from scalesearch.search.hold import removed
from scalesearch.search.retrained import Retrained, retrained
from scalesearch.training.maps import mapped, pictures

FIGURE = "figure7"
"""The paper's number for it."""


def write_maps(found: Ablated) -> None:
    """Write ``maps.npz`` and ``figures/figure7`` for the first baseline, from its first seed.

    Where the file is there and of these networks and images, only the figure is drawn again; the
    networks' checkpoints are removed in the end. Raises what ``retrained`` raises, and SearchError
    where no network was trained to the end with that seed.
    """
    path = found.folder / "maps.npz"
    rows = _rows(found)
    if not _is_of(path, found, rows):
        _write(path, found, rows)
    write_figure(class_maps_figure(read_maps(path)), found.folder / "figures" / FIGURE)
    for checkpoint in (found.folder / rows[0].baseline / "checkpoints").glob("*.pt"):
        removed(checkpoint)


def last_stage(network: Architecture, least_pixels: int) -> int | None:
    """The last stage whose maps are at least so wide; None: so are those behind the last one, and
    the first where none is."""
    sides = list(_sides(network))
    if sides[-1] >= least_pixels:
        return None
    return max((stage for stage, side in enumerate(sides) if side >= least_pixels), default=0)


def read_maps(path: Path) -> ClassMaps:
    """What ``maps.npz`` holds. Raises SearchError where it is no such file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            content: dict[str, NDArray[Any]] = dict(file)
        names, classes = content["series"].tolist(), content["class_names"].tolist()
        labels = content["labels"]
        return ClassMaps(
            images=content["images"],
            truths=tuple(classes[label] for label in labels),
            stage=int(content["stage"]) or None,
            panels=tuple(
                Panel(
                    series=name,
                    maps=content[f"maps_{place}"],
                    answers=tuple(classes[answer] for answer in content[f"answers_{place}"]),
                    factor=float(content["factors"][place]),
                )
                for place, name in enumerate(names)
            ),
        )
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise SearchError(f"{path}: not a file of class maps: {error}; remove it") from error


def _rows(found: Ablated) -> list[Row]:
    """Each network of the first baseline once, but for those that have failed with the first
    seed."""
    first, seed = next(iter(found.ablation.baselines)), found.ablation.seed
    records = read_records(found.folder / first / "records.csv")
    ended = records[(records["seed"] == seed) & (records["epoch"] == records["epoch"].max())]
    trained = set(ended["candidate"])
    own = [row for row in found.rows if row.baseline == first and row.candidate in trained]
    if not own:
        raise SearchError(
            f"{found.folder / first}: maps need a network that was trained to the end with seed "
            f"{seed}, got none; `scalesearch retry {found.folder / first}` trains what failed again"
        )
    return list({row.candidate: row for row in reversed(own)}.values())[::-1]


def _asked(found: Ablated) -> list[int]:
    """What the maps are to be of, beside networks."""
    maps = found.ablation.maps
    assert maps is not None
    return [maps.images, maps.least_pixels]


def _write(path: Path, found: Ablated, rows: list[Row]) -> None:
    maps, ablation = found.ablation.maps, found.ablation
    assert maps is not None
    by_name = {row.candidate: row for row in rows}
    content: dict[str, Any] = {}
    for one in retrained(found.folder / rows[0].baseline, ablation.seed):
        if one.candidate not in by_name:
            continue
        if not content:  # the first is the baseline, or as near to it as any
            stage = last_stage(_as_data(one), maps.least_pixels)
            chosen = _chosen(one, maps.images)
            content = {**pictures(one.images, chosen), "stage": np.array(_number(stage))}
        place = rows.index(by_name[one.candidate])
        heat, answers = mapped(one.network, one.job, one.images, chosen, stage, one.device)
        content[f"maps_{place}"], content[f"answers_{place}"] = heat, answers
    content["asked"] = np.array(_asked(found))
    content["series"] = np.array([row.series for row in rows])
    content["candidates"] = np.array([row.candidate for row in rows])
    content["factors"] = np.array([row.factor for row in rows])
    part = path.with_name(f".{path.stem}.partial.npz")
    np.savez_compressed(part, **content)
    part.replace(path)


def _as_data(one: Retrained) -> Architecture:
    if not isinstance(one.job.architecture, Architecture):
        raise SearchError("maps: need a baseline as data, got code; leave `maps` out")
    return one.job.architecture


def _chosen(one: Retrained, count: int) -> list[int]:
    """The first validation image of each class in turn: nobody picks them."""
    labels = one.images.validation.labels.tolist()
    firsts = {label: place for place, label in reversed(list(enumerate(labels)))}
    return sorted(firsts.values())[:count]


def _number(stage: int | None) -> int:
    """A stage for people, from 1; 0 stands for the maps that are pooled."""
    return 0 if stage is None else stage + 1


def _is_of(path: Path, found: Ablated, rows: list[Row]) -> bool:
    """Whether the file is there, whole, and of these networks and images."""
    try:
        read_maps(path)
        with np.load(path, allow_pickle=False) as file:
            asked = _asked(found)  # which files of before do not tell
            same = file["asked"].tolist() == asked if "asked" in file else True
            names = [str(name) for name in file["candidates"]]
        return same and names == [row.candidate for row in rows]
    except SearchError:
        return False


def _sides(network: Architecture) -> Iterator[int]:
    """Pixels per side behind each stage."""
    side = -(-network.resolution // network.stem_stride)
    side = -(-side // network.stem_pool)
    for stage in network.stages:
        side = -(-side // stage.stride)
        yield side
