"""The command that trains one network to the end."""

import dataclasses
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import (
    AllowCode,
    AsJson,
    Depth,
    Resolution,
    StemStride,
    Width,
    given,
)
from scalesearch.errors import ArchitectureError, ExperimentError

if TYPE_CHECKING:
    from scalesearch.architectures import Architecture, Foreign

SAVED = ".safetensors"
"""Files of trained networks, as a run leaves one."""

# The parts of scalesearch are imported within the command: help has no use for torch.


def train(
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="ARCHITECTURE",
            help="A baseline, a YAML file of stages, module:factory, an experiment's file, "
            "FAMILY.json:b2, RESULTS/NAME:CANDIDATE (a fingerprint, or best), or a trained "
            "network to go on from, NETWORK.safetensors.",
        ),
    ] = None,
    member: Annotated[
        str | None, typer.Option(metavar="FAMILY.json:NAME", help="Instead of ARCHITECTURE.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Images, such as digits, cifar10 or imagefolder:PATH.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A preset (fast, paper, ...) or a YAML file; default fast.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="epochs=3, or data.pixels=64"),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="new|keep",
            help="The last layer of a trained network: new for the data's classes (the default), "
            "or kept, for the same ones.",
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            metavar="PARTS",
            help="Of a trained network, what does not move: stem,stage1..3 or all-but-head, or a "
            "number of stages.",
        ),
    ] = None,
    unfreeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EPOCH:PARTS", help="What moves from an epoch on: '3:stage7,head 6:all'."
        ),
    ] = None,
    body_rate: Annotated[
        float | None,
        typer.Option(help="Learning rate of all but the head, as a factor: 0.1."),
    ] = None,
    train_samples: Annotated[int | None, typer.Option(help="Images drawn to train on.")] = None,
    validation_samples: Annotated[
        int | None, typer.Option(help="Images drawn to validate on.")
    ] = None,
    depth: Depth = None,
    width: Width = None,
    resolution: Resolution = None,
    stem_stride: StemStride = None,
    seed: Annotated[int | None, typer.Option(help="Of split, weights and streams.")] = None,
    seeds: Annotated[
        int, typer.Option(help="How many seeds, from --seed on, each in OUT/seed-K.", min=1)
    ] = 1,
    together: Annotated[
        bool, typer.Option(help="Seeds at once, for networks that do not fill the device.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="This run's own folder; by default results/<name>-<data>.")
    ] = None,
    log: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard's events.")
    ] = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Train a network to the end, with one seed or several; the same command goes on where it
    was stopped."""
    from scalesearch.experiment import experiment_from
    from scalesearch.progress import run_conclusion, run_shown, seeds_conclusion
    from scalesearch.report.run import Told, train_network
    from scalesearch.report.seeds import train_seeds
    from scalesearch.tables import print_json

    document, baseline, weights = _named(network, member, allow_code)
    size = given(depth=depth, width=width, resolution=resolution, stem_stride=stem_stride)
    samples = given(train_samples=train_samples, validation_samples=validation_samples)
    _update(document, "baseline", size)
    _update(document, "data", {**given(source=data), **samples})
    document |= given(seed=seed, device=device)
    _set_recipe(document, recipe)
    _set_transfer(
        document, given(classifier=head, freeze=freeze, unfreeze=unfreeze, body_rate=body_rate)
    )
    _override(document, overrides or [])
    experiment = experiment_from(document, "train")
    folder = out or Path("results") / f"{experiment.name}-{_plain(experiment.data.source)}"
    several = partial(
        train_seeds, seeds=seeds, together=together, recipe_name=_recipe_name(document, recipe)
    )
    trained = train_network if seeds == 1 else several
    try:
        with run_shown(experiment.recipe.epochs, seeds) as (on_epoch, on_data):
            told = Told(on_epoch, on_data, log)
            done = trained(
                experiment,
                folder,
                baseline=baseline,
                weights=weights,
                told=told,
                allow_code=allow_code,
            )
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {folder}", file=sys.stderr)
        raise
    conclusion = run_conclusion if seeds == 1 else seeds_conclusion
    if done is not None:  # this is the first of the processes, or the only one
        print_json(done) if as_json else print(conclusion(done, folder))


def _named(
    network: str | None, member: str | None, allow_code: bool
) -> "tuple[dict[str, Any], Architecture | Foreign | None, Path | None]":
    """What is to be trained, as an experiment's document, the baseline it was scaled from, and the
    file of the weights that it starts from."""
    from scalesearch.cli.sources import is_experiment
    from scalesearch.experiment import names_file
    from scalesearch.report.networks import held, holds
    from scalesearch.yaml_files import read_yaml

    if (network is None) == (member is None):
        raise ArchitectureError(
            "train: need a network, either ARCHITECTURE or --member FAMILY.json:NAME; "
            "`scalesearch baselines` lists some"
        )
    name = network or member or ""
    if member or holds(name):
        one = held(name)
        return (
            {"name": _plain(one.name), "baseline": _spelled_out(one.name, one.network)},
            one.baseline,
            None,
        )
    if Path(name).suffix == SAVED:
        return _trained_before(Path(name), allow_code), None, Path(name)
    if is_experiment(name):
        return dict(read_yaml(Path(name))), None, None
    short = Path(name).stem if names_file(name) else name
    return {"name": _plain(short), "baseline": {"name": name}}, None, None


def _trained_before(path: Path, allow_code: bool) -> dict[str, Any]:
    """The document of an experiment whose network is the one in a file."""
    from scalesearch.cli.sources import code
    from scalesearch.weights import read_network

    with code(allow_code):
        saved = read_network(path)
    name = path.stem if path.stem != "network" else saved.name or path.stem
    return {"name": _plain(name), "baseline": _spelled_out(path.name, saved.architecture)}


def _spelled_out(name: str, network: "Architecture | Foreign") -> dict[str, Any]:
    """The ``baseline`` of an experiment that is this network, its ends left to the data."""
    from scalesearch.architectures import Foreign

    if isinstance(network, Foreign):
        return {
            "name": network.factory,
            "depth": network.depth,
            "width": network.width,
            "resolution": network.resolution,
        }
    return {"name": name, "network": dataclasses.asdict(network)}


def _set_recipe(document: dict[str, Any], recipe: str | None) -> None:
    """A preset's name or a file takes the place of what recipe there is; ``fast`` of none."""
    if recipe is None and "recipe" in document:
        return
    from scalesearch.experiment import names_file
    from scalesearch.yaml_files import read_yaml

    name = recipe or "fast"
    document["recipe"] = read_yaml(Path(name)) if names_file(name) else {"preset": name}


def _recipe_name(document: dict[str, Any], recipe: str | None) -> str | None:
    """The name of the recipe's file or preset; None for one that an experiment spells out."""
    if recipe is not None:
        return Path(recipe).stem
    given = document["recipe"]
    return given.get("preset") if isinstance(given, dict) else None


def _set_transfer(document: dict[str, Any], options: dict[str, Any]) -> None:
    """The options that say how training goes on from a trained network, into its recipe."""
    if not options:
        return
    if "freeze" in options:
        options["freeze"] = _parts(options["freeze"])
    if "unfreeze" in options:
        steps = [step for text in options["unfreeze"] for step in text.split()]
        options["unfreeze"] = [_later(step) for step in steps]
    recipe = document["recipe"]
    if not isinstance(recipe, dict):  # which is refused as a whole
        return
    document["recipe"] = {**recipe, "transfer": {**(recipe.get("transfer") or {}), **options}}


def _later(step: str) -> dict[str, Any]:
    """``3:stage7,head`` as a recipe says it."""
    epoch, colon, parts = step.partition(":")
    if not colon or not epoch.isdecimal() or not parts:
        raise ExperimentError(f"--unfreeze: need EPOCH:PARTS, such as 3:stage7,head, got {step!r}")
    return {"epoch": int(epoch), "parts": _parts(parts)}


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _override(document: dict[str, Any], settings: list[str]) -> None:
    """Keys as in an experiment's file; one of the recipe's may come without its ``recipe.``."""
    from scalesearch.experiment import Experiment, override

    parts = {field.name for field in dataclasses.fields(Experiment)}
    for setting in settings:
        part = re.split(r"[.=]", setting, maxsplit=1)[0]
        override(document, setting if part in parts else f"recipe.{setting}")


def _update(document: dict[str, Any], part: str, options: dict[str, Any]) -> None:
    document[part] = {**document.get(part, {}), **options}


def _plain(text: str) -> str:
    """A text that can name a folder."""
    return re.sub(r"[^\w.-]+", "-", text.replace("/", "-")).strip(".-_") or "run"
