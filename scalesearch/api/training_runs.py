"""Train one network to the end, named in any of the ways that the commands know."""

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scalesearch.api.network_lookup import code_allowed_if, is_experiment
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import Experiment, is_yaml_name
from scalesearch.config.reading import apply_override, experiment_from_document
from scalesearch.deploy.network_references import is_network_reference, network_from_reference
from scalesearch.errors import ArchitectureError
from scalesearch.io import read_yaml
from scalesearch.reporting.terminal.display import show_run
from scalesearch.training import single_run
from scalesearch.training.epoch_log import RunCallbacks
from scalesearch.training.network_file import read_network
from scalesearch.training.several_seeds import train_seeds

NETWORK_SUFFIX = ".safetensors"
"""Suffix of files of trained networks."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A network that was trained, and the folder with everything about it."""

    folder: Path
    seeds: int
    document: dict[str, Any] | None
    """``run.json``, or ``summary.json`` of several seeds; None in processes of torchrun but the
    first."""


@dataclass(frozen=True, slots=True)
class _Start:
    """The network to train as an experiment's document, and where training starts."""

    document: dict[str, Any]
    baseline: Architecture | CustomModel | None = None
    """The network that it was scaled from."""
    weights: Path | None = None
    """File of the weights that training starts from."""


def train_model(
    network: str | None = None,
    *,
    member: str | None = None,
    data: str | None = None,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    transfer: Mapping[str, Any] | None = None,
    train_samples: int | None = None,
    validation_samples: int | None = None,
    depth: float | None = None,
    width: float | None = None,
    resolution: int | None = None,
    stem_stride: int | None = None,
    seed: int | None = None,
    seeds: int = 1,
    together: bool = False,
    device: str | None = None,
    out: str | Path | None = None,
    tensorboard: bool = False,
    allow_code: bool = False,
    progress: bool = False,
) -> TrainingResult:
    """Train a network with one seed or several, or continue where it stopped.

    ``network``: a baseline, a YAML file of stages, ``module:factory``, an experiment file,
    ``FAMILY.json:b2``, ``RESULTS/NAME:CANDIDATE``, or the file of a trained network to start from;
    or ``member``, which is ``FAMILY.json:NAME``.
    ``data``: such as ``digits`` or ``imagefolder:PATH``. ``recipe``: a preset (by default
    ``fast``) or a YAML file. ``overrides``: such as ``epochs=3`` or ``data.pixels=64``.
    ``transfer``: fields of ``recipe.transfer``, for a trained network. ``seeds``: number of seeds,
    from ``seed`` on, each in ``out/seed-K``; ``together``: all at the same time. ``out``: by
    default ``results/NAME-DATA``.
    """
    start = experiment_start(network, member, allow_code)
    document = start.document
    size = _given(depth=depth, width=width, resolution=resolution, stem_stride=stem_stride)
    images = _given(source=data, train_samples=train_samples, validation_samples=validation_samples)
    document["baseline"] = {**document.get("baseline", {}), **size}
    document["data"] = {**document.get("data", {}), **images}
    document |= _given(seed=seed, device=device)
    _set_recipe(document, recipe)
    _set_transfer(document, transfer or {})
    _apply_overrides(document, overrides)
    experiment = experiment_from_document(document, "train")
    name = f"{experiment.name}-{_to_folder_name(experiment.data.source)}"
    folder = Path(out) if out is not None else Path("results") / name
    train: Callable[..., dict[str, Any] | None] = single_run.train_one_seed
    if seeds != 1:
        recipe_name = _recipe_name(document, recipe)
        train = partial(train_seeds, seeds=seeds, together=together, recipe_name=recipe_name)
    origin = {"baseline": start.baseline, "weights": start.weights, "allow_code": allow_code}
    with _shown_run(experiment.recipe.epochs, seeds, folder, tensorboard, progress) as callbacks:
        return TrainingResult(
            folder, seeds, train(experiment, folder, callbacks=callbacks, **origin)
        )


@contextmanager
def _shown_run(
    epochs: int, seeds: int, folder: Path, tensorboard: bool, progress: bool
) -> Iterator[RunCallbacks]:
    """Show a run's progress, and after an interruption how to continue."""
    if not progress:
        yield RunCallbacks(tensorboard=tensorboard)
        return
    try:
        with show_run(epochs, seeds) as (on_epoch, on_data):
            yield RunCallbacks(on_epoch, on_data, tensorboard)
    except KeyboardInterrupt:
        print(f"stopped; the same command continues from {folder}", file=sys.stderr)
        raise


def experiment_start(network: str | None, member: str | None, allow_code: bool) -> _Start:
    """Return the experiment's document of a training run, and its start."""
    if (network is None) == (member is None):
        raise ArchitectureError(
            "train: need a network, either ARCHITECTURE or --member FAMILY.json:NAME; "
            "`scalesearch baselines` lists some"
        )
    network = network or member or ""
    if member or is_network_reference(network):
        reference = network_from_reference(network)
        document = {
            "name": _to_folder_name(reference.name),
            "baseline": _baseline_document(reference.name, reference.network),
        }
        return _Start(document, baseline=reference.baseline)
    path = Path(network)
    if path.suffix == NETWORK_SUFFIX:
        with code_allowed_if(allow_code):
            saved_network = read_network(path)
        name = path.stem if path.stem != "network" else saved_network.name or path.stem
        document = {
            "name": _to_folder_name(name),
            "baseline": _baseline_document(path.name, saved_network.architecture),
        }
        return _Start(document, weights=path)
    if is_experiment(network):
        return _Start(dict(read_yaml(path)))
    name = path.stem if is_yaml_name(network) else network
    return _Start({"name": _to_folder_name(name), "baseline": {"name": network}})


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def _baseline_document(name: str, network: Architecture | CustomModel) -> dict[str, Any]:
    """Return an experiment's ``baseline`` that is this network; data sets its ends."""
    if isinstance(network, CustomModel):
        return {
            "name": network.factory,
            "depth": network.depth,
            "width": network.width,
            "resolution": network.resolution,
        }
    return {"name": name, "network": dataclasses.asdict(network)}


def _set_recipe(document: dict[str, Any], recipe: str | None) -> None:
    """Replace the recipe by a preset or a file; without any, it is ``fast``."""
    if recipe is None and "recipe" in document:
        return
    name = recipe or "fast"
    document["recipe"] = read_yaml(Path(name)) if is_yaml_name(name) else {"preset": name}


def _recipe_name(document: Mapping[str, Any], recipe: str | None) -> str | None:
    """Return the name of the recipe's file or preset, or None if it has none."""
    if recipe is not None:
        return Path(recipe).stem
    recipe_document = document["recipe"]
    return recipe_document.get("preset") if isinstance(recipe_document, dict) else None


def _set_transfer(document: dict[str, Any], transfer: Mapping[str, Any]) -> None:
    """Update the recipe's ``transfer``; a recipe that is no mapping is refused later."""
    recipe = document["recipe"]
    if transfer and isinstance(recipe, dict):
        document["recipe"] = {**recipe, "transfer": {**(recipe.get("transfer") or {}), **transfer}}


def _apply_overrides(document: dict[str, Any], overrides: Sequence[str]) -> None:
    """Apply overrides as to an experiment's file; ``recipe.`` may be left out."""
    section_names = {field.name for field in dataclasses.fields(Experiment)}
    for override in overrides:
        section = re.split(r"[.=]", override, maxsplit=1)[0]
        apply_override(document, override if section in section_names else f"recipe.{override}")


def _to_folder_name(text: str) -> str:
    """Return a text that can name a folder."""
    return re.sub(r"[^\w.-]+", "-", text.replace("/", "-")).strip(".-_") or "run"
