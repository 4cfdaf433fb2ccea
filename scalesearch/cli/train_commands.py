"""The command that trains one network."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import scalesearch as ss
from scalesearch.cli.options import (
    AllowCode,
    AsJson,
    SizeOptions,
    StemStride,
    with_option_groups,
)
from scalesearch.errors import ExperimentError


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """The start of training from a trained network."""

    head: Annotated[
        str | None,
        typer.Option(
            metavar="new|keep",
            help="Last layer of a trained network: new, for the classes of the data (the "
            "default), or keep, for the same classes.",
        ),
    ] = None
    freeze: Annotated[
        str | None,
        typer.Option(
            metavar="PARTS",
            help="Parts of a trained network that stay as they are: stem,stage1..3, "
            "all-but-head, or a number of stages.",
        ),
    ] = None
    unfreeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EPOCH:PARTS",
            help="Parts that are trained from an epoch on, such as '3:stage7,head 6:all'.",
        ),
    ] = None
    body_rate: Annotated[
        float | None,
        typer.Option(help="Factor of the learning rate of everything but the head, such as 0.1."),
    ] = None

    @property
    def document(self) -> dict[str, Any]:
        """The fields of ``recipe.transfer`` that are given."""
        steps = None
        if self.unfreeze is not None:
            steps = [_parse_unfreeze_step(step) for text in self.unfreeze for step in text.split()]
        transfer = {
            "classifier": self.head,
            "freeze": None if self.freeze is None else _split_parts(self.freeze),
            "unfreeze": steps,
            "body_rate": self.body_rate,
        }
        return {name: value for name, value in transfer.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """The numbers of images that are used."""

    train_samples: Annotated[
        int | None, typer.Option(help="Number of images to train on; by default all.")
    ] = None
    validation_samples: Annotated[
        int | None, typer.Option(help="Number of images to validate on.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """The seeds, and the device that trains them."""

    seed: Annotated[
        int | None, typer.Option(help="Random seed (split, initialisation, augmentation).")
    ] = None
    seeds: Annotated[
        int,
        typer.Option(help="Number of seeds, from --seed on, each in its folder OUT/seed-K.", min=1),
    ] = 1
    together: Annotated[
        bool,
        typer.Option(help="Train all seeds at the same time, if one does not fill the device."),
    ] = False
    device: Annotated[str | None, typer.Option(help="Device to train on: auto, cpu or cuda.")] = (
        None
    )


NetworkArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="ARCHITECTURE",
        help="A baseline, a YAML file of stages, module:factory, an experiment file, "
        "FAMILY.json:b2, RESULTS/NAME:CANDIDATE (a fingerprint, or best), or a trained "
        "network to start from, NETWORK.safetensors.",
    ),
]


@with_option_groups
def train(
    network: NetworkArgument = None,
    *,
    member: Annotated[
        str | None,
        typer.Option(metavar="FAMILY.json:NAME", help="A member of a family, for ARCHITECTURE."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Images, such as digits, cifar10 or imagefolder:PATH."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="A preset such as fast or paper, or a YAML file; by default fast."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a value of the recipe or experiment, such as epochs=3 or "
            "data.pixels=64.",
        ),
    ] = None,
    transfer: TransferOptions,
    images: ImageOptions,
    size: SizeOptions,
    stem_stride: StemStride = None,
    seeds: SeedOptions,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of this run; by default results/NAME-DATA."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write events for TensorBoard.")
    ] = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Train one network to the end, or resume its training."""
    result = ss.train_model(
        network,
        member=member,
        data=data,
        recipe=recipe,
        overrides=overrides or (),
        transfer=transfer.document,
        **asdict(images),
        **asdict(size),
        stem_stride=stem_stride,
        **asdict(seeds),
        out=out,
        tensorboard=tensorboard,
        allow_code=allow_code,
        progress=True,
    )
    if result.document is not None:  # None in a process of torchrun that is not the first
        _print_result(result.document, result.folder, seeds.seeds, as_json)


def _print_result(document: dict[str, Any], folder: Path, seeds: int, as_json: bool) -> None:
    from scalesearch.reporting.console import print_json
    from scalesearch.reporting.terminal.messages import finished_run_text, finished_seeds_text

    text = finished_run_text if seeds == 1 else finished_seeds_text
    print_json(document) if as_json else print(text(document, folder))


def _parse_unfreeze_step(step: str) -> dict[str, Any]:
    """Read ``3:stage7,head``."""
    epoch, colon, parts = step.partition(":")
    if not colon or not epoch.isdecimal() or not parts:
        raise ExperimentError(f"--unfreeze: need EPOCH:PARTS, such as 3:stage7,head, got {step!r}")
    return {"epoch": int(epoch), "parts": _split_parts(parts)}


def _split_parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
