"""Of the processes that torchrun starts, the first speaks for all.

The command that trains one network to the end.
"""

import dataclasses
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
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
    given_options,
)
from scalesearch.errors import ArchitectureError, ExperimentError

if TYPE_CHECKING:
    from scalesearch.architectures.custom import CustomModel
    from scalesearch.architectures.stages import Architecture


ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Names the file in which torchrun looks for what a process died of."""


@contextmanager
def silence_other_ranks() -> Iterator[None]:
    """Within, only the first process writes to standard error; alone, a process is the first.

    What another one would have said when it ends with an error goes to torchrun, which names it in
    its report. A bug's traceback is everybody's.
    """
    if _rank() == 0:
        yield
        return
    stderr_text = io.StringIO()
    try:
        with redirect_stderr(stderr_text):
            yield
    except SystemExit as system_exit:
        if system_exit.code and (path := os.environ.get(ERROR_FILE)):
            report = {"message": stderr_text.getvalue(), "timestamp": int(time.time())}
            Path(path).write_text(json.dumps(report), encoding="utf-8")
        raise


def _rank() -> int:
    if "RANK" not in os.environ:
        return 0  # without loading torch
    from scalesearch.training.distributed import TORCHRUN_VARIABLES

    is_started_by_torchrun = all(name in os.environ for name in TORCHRUN_VARIABLES)
    return int(os.environ["RANK"]) if is_started_by_torchrun else 0


NETWORK_SUFFIX = ".safetensors"
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
    from scalesearch.config.reading import experiment_from_document
    from scalesearch.reporting.console import print_json
    from scalesearch.reporting.terminal.display import show_run
    from scalesearch.reporting.terminal.messages import finished_run_text, finished_seeds_text
    from scalesearch.training.several_seeds import train_seeds
    from scalesearch.training.single_run import RunCallbacks, train_model

    document, baseline, weights = _experiment_document(network, member, allow_code)
    baseline_options = given_options(
        depth=depth, width=width, resolution=resolution, stem_stride=stem_stride
    )
    sample_options = given_options(
        train_samples=train_samples, validation_samples=validation_samples
    )
    _update_section(document, "baseline", baseline_options)
    _update_section(document, "data", {**given_options(source=data), **sample_options})
    document |= given_options(seed=seed, device=device)
    _set_recipe(document, recipe)
    _set_transfer(
        document,
        given_options(classifier=head, freeze=freeze, unfreeze=unfreeze, body_rate=body_rate),
    )
    _apply_overrides(document, overrides or [])
    experiment = experiment_from_document(document, "train")
    folder = out or Path("results") / f"{experiment.name}-{_to_folder_name(experiment.data.source)}"
    train_several = partial(
        train_seeds, seeds=seeds, together=together, recipe_name=_recipe_name(document, recipe)
    )
    train_function = train_model if seeds == 1 else train_several
    try:
        with show_run(experiment.recipe.epochs, seeds) as (on_epoch, on_data):
            callbacks = RunCallbacks(on_epoch, on_data, log)
            result = train_function(
                experiment,
                folder,
                baseline=baseline,
                weights=weights,
                callbacks=callbacks,
                allow_code=allow_code,
            )
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {folder}", file=sys.stderr)
        raise
    conclusion_text = finished_run_text if seeds == 1 else finished_seeds_text
    if result is not None:  # this is the first of the processes, or the only one
        print_json(result) if as_json else print(conclusion_text(result, folder))


def _experiment_document(
    network: str | None, member: str | None, allow_code: bool
) -> "tuple[dict[str, Any], Architecture | CustomModel | None, Path | None]":
    """What is to be trained, as an experiment's document, the baseline it was scaled from, and the
    file of the weights that it starts from."""
    from scalesearch.cli.options import is_experiment
    from scalesearch.config.experiment import is_yaml_name
    from scalesearch.deploy.networks import is_network_reference, network_from_reference
    from scalesearch.io import read_yaml

    if (network is None) == (member is None):
        raise ArchitectureError(
            "train: need a network, either ARCHITECTURE or --member FAMILY.json:NAME; "
            "`scalesearch baselines` lists some"
        )
    name = network or member or ""
    if member or is_network_reference(name):
        network_entry = network_from_reference(name)
        return (
            {
                "name": _to_folder_name(network_entry.name),
                "baseline": _baseline_document(network_entry.name, network_entry.network),
            },
            network_entry.baseline,
            None,
        )
    if Path(name).suffix == NETWORK_SUFFIX:
        return _document_of_network_file(Path(name), allow_code), None, Path(name)
    if is_experiment(name):
        return dict(read_yaml(Path(name))), None, None
    network_name = Path(name).stem if is_yaml_name(name) else name
    return {"name": _to_folder_name(network_name), "baseline": {"name": name}}, None, None


def _document_of_network_file(path: Path, allow_code: bool) -> dict[str, Any]:
    """The document of an experiment whose network is the one in a file."""
    from scalesearch.cli.options import code_allowed_if
    from scalesearch.training.network_file import read_network

    with code_allowed_if(allow_code):
        saved_network = read_network(path)
    name = path.stem if path.stem != "network" else saved_network.name or path.stem
    return {
        "name": _to_folder_name(name),
        "baseline": _baseline_document(path.name, saved_network.architecture),
    }


def _baseline_document(name: str, network: "Architecture | CustomModel") -> dict[str, Any]:
    """The ``baseline`` of an experiment that is this network, its ends left to the data."""
    from scalesearch.architectures.custom import CustomModel

    if isinstance(network, CustomModel):
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
    from scalesearch.config.experiment import is_yaml_name
    from scalesearch.io import read_yaml

    name = recipe or "fast"
    document["recipe"] = read_yaml(Path(name)) if is_yaml_name(name) else {"preset": name}


def _recipe_name(document: dict[str, Any], recipe: str | None) -> str | None:
    """The name of the recipe's file or preset; None for one that an experiment spells out."""
    if recipe is not None:
        return Path(recipe).stem
    recipe_document = document["recipe"]
    return recipe_document.get("preset") if isinstance(recipe_document, dict) else None


def _set_transfer(document: dict[str, Any], options: dict[str, Any]) -> None:
    """The options that say how training goes on from a trained network, into its recipe."""
    if not options:
        return
    if "freeze" in options:
        options["freeze"] = _split_parts(options["freeze"])
    if "unfreeze" in options:
        unfreeze_steps = [step for text in options["unfreeze"] for step in text.split()]
        options["unfreeze"] = [_unfreeze_step(step) for step in unfreeze_steps]
    recipe = document["recipe"]
    if not isinstance(recipe, dict):  # which is refused as a whole
        return
    document["recipe"] = {**recipe, "transfer": {**(recipe.get("transfer") or {}), **options}}


def _unfreeze_step(step: str) -> dict[str, Any]:
    """``3:stage7,head`` as a recipe says it."""
    epoch, colon, parts = step.partition(":")
    if not colon or not epoch.isdecimal() or not parts:
        raise ExperimentError(f"--unfreeze: need EPOCH:PARTS, such as 3:stage7,head, got {step!r}")
    return {"epoch": int(epoch), "parts": _split_parts(parts)}


def _split_parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _apply_overrides(document: dict[str, Any], overrides: list[str]) -> None:
    """Keys as in an experiment's file; one of the recipe's may come without its ``recipe.``."""
    from scalesearch.config.experiment import Experiment
    from scalesearch.config.reading import apply_override

    section_names = {field.name for field in dataclasses.fields(Experiment)}
    for override_text in overrides:
        section = re.split(r"[.=]", override_text, maxsplit=1)[0]
        apply_override(
            document, override_text if section in section_names else f"recipe.{override_text}"
        )


def _update_section(document: dict[str, Any], section: str, options: dict[str, Any]) -> None:
    document[section] = {**document.get(section, {}), **options}


def _to_folder_name(text: str) -> str:
    """A text that can name a folder."""
    return re.sub(r"[^\w.-]+", "-", text.replace("/", "-")).strip(".-_") or "run"
