"""How fast scalesearch trains, beside the loop that tutorials teach and beside timm's.

    python benchmarks/training.py [--device cuda] [--json]   whole loops, steps and loaders
    python benchmarks/training.py --quick --json             against the plain loop, in minutes
    python benchmarks/training.py --accuracy --seeds 5       the same recipe on real images

EfficientNet-B0 with a stem of stride 1 at 32 pixels, batches of 128, reflected crops and flips, SGD
with Nesterov momentum, the same number of threads for all. All take turns within one run (see
``interleaved.py``). A table goes to standard output, or with --json one JSON document; unless
--quick, JSON and figure go into ``results/benchmarks``.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import accuracy
import contenders
import timm_loop
import torch
from contenders import ENDLESS, Setting, usable_cores
from interleaved import Measured, Ratio, fastest, measured, ratio
from picture import drawn
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.config.experiment import DataSpec
from scalesearch.config.reading import preset
from scalesearch.config.recipe import Recipe
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.figures.style import write_figure
from scalesearch.results.environment import environment_info

GROUPS = {
    "trainer": (contenders.trainers, 0.5),
    "step": (contenders.steppers, 0.25),
    "replicas": (contenders.replicas, 0.1),
    "loader": (contenders.loaders, 0.1),
    "loader_all_cores": (contenders.loaders_on_all_cores, 0.05),
}
"""What is timed, and its part of the time."""

QUICK = ("trainer", "step", "loader", "loader_all_cores")

HEADLINES = {"trainer_vs_plain": 2.0, "loader_vs_plain": 15.0}
"""Ratios that a CPU must reach."""


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    document = _accuracy(options) if options.accuracy else _speed(options)
    if options.json:
        print(json.dumps(document, indent=2))
    if not options.quick:
        kind = "accuracy" if options.accuracy else "training"
        _write(document, options.out / f"{kind}-{options.device.type}")


def _speed(options: argparse.Namespace) -> dict[str, Any]:
    reason = "left out by --quick" if options.quick else timm_loop.missing()
    setting = _setting(options, timm=not reason)
    found: list[Measured] = []
    for group in options.only or (name for name in GROUPS if not options.quick or name in QUICK):
        made, part = GROUPS[group]
        print(f"{group}...", file=sys.stderr, flush=True)
        seconds = 60 * options.minutes * part
        found += measured(list(made(setting)), options.device, options.rounds, seconds)
    ratios = dict(_ratios(found))
    _print_speed(found, ratios, reason, to_stderr=options.json)
    return {
        **{name: value.median for name, value in ratios.items()},
        "ratios": {name: dataclasses.asdict(value) for name, value in ratios.items()},
        "measurements": [_measurement(one) for one in found],
        "timm": reason or "imported",
        **_provenance(options, setting.recipe),
    }


def _accuracy(options: argparse.Namespace) -> dict[str, Any]:
    recipe = dataclasses.replace(preset("fast"), epochs=options.epochs, threads=options.threads)
    spec = DataSpec(
        source=options.data,
        pixels=options.resolution,
        train_samples=options.train_samples,
        validation_samples=options.validation_samples,
    )
    pairs, fingerprints = [], []
    for seed in range(options.seeds):
        dataset = load_dataset(spec, seed, device=options.device)
        fingerprints.append(dataset.fingerprint)
        architecture = efficientnet_b0(
            width=options.width or 0.25,
            resolution=options.resolution,
            stem_stride=1,
            in_channels=dataset.channels,
            num_classes=dataset.num_classes,
        )
        pairs.append(accuracy.pair(architecture, recipe, dataset, seed, options.device))
        print(_line(pairs[-1]), file=sys.stderr, flush=True)
    found = accuracy.comparison(pairs)
    print(
        f"ours {found.ours:.4f} (sd {found.ours_sd:.4f})   "
        f"plain loop {found.plain:.4f} (sd {found.plain_sd:.4f})   "
        f"difference {found.difference:+.4f} +-{found.standard_error:.4f}",
        file=sys.stderr if options.json else sys.stdout,
    )
    return {
        **dataclasses.asdict(found),
        "within_one_sd": found.within_one_sd,
        "seeds": [dataclasses.asdict(pair) for pair in pairs],
        "data_fingerprints": fingerprints,
        **_provenance(options, recipe),
    }


def _line(pair: accuracy.Pair) -> str:
    return (
        f"seed {pair.seed}: ours {pair.ours:.4f} in {pair.ours_seconds:.0f} s, "
        f"plain loop {pair.plain:.4f} in {pair.plain_seconds:.0f} s"
    )


def _setting(options: argparse.Namespace, *, timm: bool) -> Setting:
    recipe = Recipe(
        epochs=ENDLESS,
        batch_size=options.batch_size,
        learning_rate=0.01,
        label_smoothing=0.0,
        threads=options.threads,
    )
    return Setting(
        architecture=efficientnet_b0(
            width=options.width or 1.0,
            resolution=options.resolution,
            stem_stride=options.stem_stride,
            num_classes=10,
        ),
        recipe=recipe,
        device=options.device,
        batches=options.batches,
        loader_batches=options.loader_batches,
        workers=options.workers,
        compiled=options.compile,
        timm=timm,
        other_format=not options.quick,
    )


def _ratios(found: Sequence[Measured]) -> Iterator[tuple[str, Ratio]]:
    """``GROUP_vs_SIDE`` of ours, and ``GROUP_FORMAT_vs_SIDE`` of ours in another number format."""
    for group in GROUPS:
        sides = dict.fromkeys(one.side for one in found if one.group == group)
        mine = [side for side in sides if side.startswith("ours")]
        for side in mine:
            for rival in (side for side in sides if side not in mine):
                one, other = fastest(found, group, side), fastest(found, group, rival)
                if one and other:
                    yield f"{group}{side.removeprefix('ours')}_vs_{rival}", ratio(one, other)


def _measurement(one: Measured) -> dict[str, Any]:
    return {
        "group": one.group,
        "side": one.side,
        "name": one.name,
        "images_per_second": one.images_per_second,
        "startup_seconds": one.startup_seconds,
        "rounds_images_per_second": [lap.images_per_second for lap in one.laps],
    }


def _provenance(options: argparse.Namespace, recipe: Recipe) -> dict[str, Any]:
    given = {name: str(value) for name, value in vars(options).items() if name != "out"}
    given["data"] = given["data"].partition(":")[0]  # its fingerprint says which, no path does
    return {
        "options": given,
        "recipe": dataclasses.asdict(recipe),
        "environment": environment_info(_device_name(options.device)),
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _print_speed(
    found: Sequence[Measured], ratios: dict[str, Ratio], reason: str, *, to_stderr: bool
) -> None:
    console = Console(stderr=to_stderr, width=100)
    table = Table("", "images/s", "start-up s", "ours is", "[least, greatest]", box=SIMPLE)
    for column in table.columns[1:]:
        column.justify = "right"
    for group in dict.fromkeys(one.group for one in found):
        mine = fastest(found, group, "ours")
        table.add_section()
        for one in (one for one in found if one.group == group):
            value = ratio(mine, one) if mine and mine is not one else None
            table.add_row(
                one.name,
                f"{one.images_per_second:,.0f}",
                f"{one.startup_seconds:.1f}",
                f"{value.median:.2f}x" if value else "",
                f"[{value.low:.2f}, {value.high:.2f}]" if value else "",
            )
    console.print(table)
    if reason:
        console.print(f"timm: {reason}")
    for name, wanted in HEADLINES.items():
        if name in ratios:
            console.print(f"{name} {ratios[name].median:.2f} (must reach {wanted:g} on a CPU)")


def _write(document: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    json_path = path.with_name(f"{path.name}.json")
    json_path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if "measurements" in document:
        write_figure(drawn(document["measurements"]), path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="against the plain loop only, within five minutes")
    add("--json", action="store_true", help="one JSON document on standard output, nothing else")
    add("--device", type=torch.device, default="cpu")
    add("--threads", type=int, default=usable_cores())
    add("--rounds", type=int, default=9, help="at most")
    add("--minutes", type=float, help="for all rounds; at least three are taken (4 or 30)")
    add("--only", nargs="+", choices=GROUPS, help="these groups")
    add("--batch-size", type=int, default=128)
    add("--batches", type=int, help="of a turn (4 or 6 on a CPU, 100 on CUDA)")
    add("--loader-batches", type=int, default=100, help="of a loader's turn")
    add("--workers", type=int, help="of the plain DataLoader (0 on a CPU, else up to 8)")
    add("--compile", action=argparse.BooleanOptionalAction, help="the plain loop, too (on CUDA)")
    add("--width", type=float, help="of B0 (1; 0.25 with --accuracy)")
    add("--resolution", type=int, default=32)
    add("--stem-stride", type=int, default=1)
    add("--out", type=Path, default=Path("results/benchmarks"))
    add("--accuracy", action="store_true", help="accuracies instead of speed")
    add("--data", default="digits", help="digits or imagefolder:PATH")
    add("--seeds", type=int, default=5)
    add("--epochs", type=int, default=6)
    add("--train-samples", type=int)
    add("--validation-samples", type=int)
    options = parser.parse_args()
    cuda = options.device.type == "cuda"
    options.minutes = options.minutes or (3 if options.quick else 30)
    options.batches = options.batches or (100 if cuda else 4 if options.quick else 6)
    options.workers = (
        options.workers if options.workers is not None else min(8, usable_cores()) if cuda else 0
    )
    options.compile = cuda if options.compile is None else options.compile
    return options


if __name__ == "__main__":
    main()
