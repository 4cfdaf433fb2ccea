"""Commands that train nothing: networks, what they cost, and which of them cost the same.

The parts of scalesearch are imported within the commands: ``cost`` has no use for numpy.
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from scalesearch.cli.options import (
    AllowCode,
    AsJson,
    Depth,
    InChannels,
    NumClasses,
    Resolution,
    RoundingName,
    StemStride,
    Width,
    given,
    refused,
)
from scalesearch.cli.sources import as_data, baseline_and_budget, code, named
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.family import Mode


def cost(
    name: Annotated[
        str, typer.Argument(help="efficientnet_b0, a YAML file of stages, or module:factory.")
    ],
    depth: Depth = None,
    width: Width = None,
    resolution: Resolution = None,
    rounding: RoundingName = None,
    stem_stride: StemStride = None,
    num_classes: NumClasses = None,
    in_channels: InChannels = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Multiply-adds, parameters and activations of a baseline, or of it scaled."""
    from scalesearch.architectures import cost as cost_of
    from scalesearch.architectures import scaled
    from scalesearch.architectures.fingerprint import fingerprint
    from scalesearch.scaling import ROUNDINGS, Multipliers
    from scalesearch.tables import print_json, print_table

    profile = rounding or "official"
    if profile not in ROUNDINGS:
        raise ArchitectureError(f"--rounding: need one of {', '.join(ROUNDINGS)}, got {profile!r}")
    options = given(
        resolution=resolution,
        stem_stride=stem_stride,
        num_classes=num_classes,
        in_channels=in_channels,
    )
    with refused("--depth, --width"):
        by = Multipliers(**given(depth=depth, width=width))
    network = scaled(named(name, **options), by, ROUNDINGS[profile])
    with code(allow_code):
        row = {
            "name": name,
            "depth": by.depth,
            "width": by.width,
            "resolution": network.resolution,
            "rounding": profile,
            **dataclasses.asdict(cost_of(network)),
            "fingerprint": fingerprint(network),
        }
    print_json(row) if as_json else print_table([row])


def isocost(
    source: Annotated[str, typer.Argument(metavar="FILE|NAME", help="Experiment or baseline.")],
    factor: Annotated[float | None, typer.Option(help="Times the baseline's cost.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Relative; 0.02 is 2%.")] = None,
    depth: Depth = None,
    width: Width = None,
    resolution: Resolution = None,
    rounding: RoundingName = None,
    stem_stride: StemStride = None,
    num_classes: NumClasses = None,
    in_channels: InChannels = None,
    limit: Annotated[
        int | None, typer.Option(help="Rows shown; 20 in a table, all in JSON.", min=1)
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Every distinct network whose realised cost meets a budget, ordered by shares."""
    from scalesearch.architectures.isocost import isocost as candidates_of
    from scalesearch.rounding import rounding_spec
    from scalesearch.tables import candidate_rows, print_json, print_table

    network, budget = baseline_and_budget(
        source,
        given(
            depth=depth,
            width=width,
            resolution=resolution,
            stem_stride=stem_stride,
            num_classes=num_classes,
            in_channels=in_channels,
        ),
        given(factor=factor, tolerance=tolerance, rounding=rounding),
    )
    with code(allow_code):
        candidates = candidates_of(network, budget)
    shown = candidate_rows(candidates, limit or (None if as_json else 20))
    document = {
        "measure": budget.measure,
        "factor": budget.factor,
        "tolerance": budget.tolerance,
        "rounding": rounding_spec(budget.rounding),
        "count": len(candidates),
    }
    if as_json:
        print_json({**document, "candidates": shown})
    else:
        some = "" if len(shown) == len(candidates) else f"; {len(shown)} of them, evenly spaced"
        title = f"{len(candidates):,} networks cost {budget.factor:g}x +-{budget.tolerance:.1%}"
        print_table(
            shown, title=f"{title} ({budget.measure}, rounding {budget.rounding_name}){some}"
        )


def family(
    source: Annotated[
        str,
        typer.Argument(help="published, a scheme (paper, uniform, fast, ...), a file, or A,B,C."),
    ],
    mode: Annotated[str | None, typer.Option(help="published, exact or matched.")] = None,
    phi: Annotated[str, typer.Option(help="A range 0..7, or a list 0,0.5,1.")] = "0..7",
    factor: Annotated[
        float | None, typer.Option(help="Cost of one step of phi, for mode matched.")
    ] = None,
    rounding: RoundingName = None,
    baseline: Annotated[
        str | None, typer.Option(help="Instead of the source's own, or else efficientnet_b0.")
    ] = None,
    resolution: Resolution = None,
    out: Annotated[
        Path | None, typer.Option(help="Write family.json and family.yaml into this folder.")
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """The networks b0, b1, ... that coefficients stand for, counted by us and by fvcore."""
    from scalesearch.family import family_document, parse_phis, read_source, write_family
    from scalesearch.tables import print_json, print_table

    if resolution and not baseline:
        raise ArchitectureError("--resolution: is a baseline's; name one with --baseline")
    own = named(baseline, **given(resolution=resolution)) if baseline else None
    origin = read_source(source, own)
    with code(allow_code):
        document = family_document(
            origin.coefficients,
            origin.baseline,
            mode=cast("Mode", mode or origin.mode),
            phis=parse_phis(phi),
            rounding=rounding or origin.rounding,
            factor=origin.factor if factor is None else factor,
        )
    if out is not None:
        for suffix in ("json", "yaml"):
            print(f"wrote {write_family(out / f'family.{suffix}', document)}", file=sys.stderr)
    if as_json:
        print_json(document)
    else:
        title = f"{document['mode']}, rounding {document['rounding']}, {source}"
        print_table(document["members"], title=title)


def solve(
    source: Annotated[
        str, typer.Argument(help="A baseline, published, a coefficients.json, or ALPHA,BETA,GAMMA.")
    ],
    target: Annotated[
        str, typer.Option(help="macs=1.0G, params=10M, activations=20M or latency=5ms.")
    ],
    coefficients: Annotated[
        str | None, typer.Option(help="A scheme such as paper, or ALPHA,BETA,GAMMA.")
    ] = None,
    rounding: RoundingName = None,
    latency_model: Annotated[
        Path | None, typer.Option(help="What `scalesearch calibrate --out FILE.json` wrote.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The phi, and the network, that costs what is asked; with the next smaller and larger one."""
    from scalesearch.architectures import BASELINES
    from scalesearch.architectures.latency_model import read_latency_model
    from scalesearch.family import read_source
    from scalesearch.solve import direction, rows, solve_document
    from scalesearch.tables import print_json, print_table

    if source in BASELINES or Path(source).suffix in (".yaml", ".yml"):
        network, profile = as_data(named(source)), None
        along = direction(coefficients or "paper")
    else:
        origin = read_source(source)
        network, profile = as_data(origin.baseline), origin.rounding
        along = direction(coefficients) if coefficients else origin.coefficients
    latency = read_latency_model(latency_model) if latency_model else None
    with refused("--rounding"):
        document = solve_document(
            network, along, target, rounding or profile or "official", latency
        )
    print_json(document) if as_json else print_table(rows(document), title=document["message"])


def explain(
    source: Annotated[
        str, typer.Argument(help="published, a coefficients.json, or ALPHA,BETA,GAMMA.")
    ] = "published",
    out: Annotated[
        Path | None, typer.Option(help="Write explain.png and explain.svg into this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What the published family is made of, beside exact and matched ones, and why."""
    from scalesearch.explain import explain as explanation
    from scalesearch.family import read_source
    from scalesearch.tables import print_json, print_table

    origin = read_source(source)
    document = explanation(origin.coefficients, as_data(origin.baseline), factor=origin.factor)
    if out is not None:
        from scalesearch.plots import write_figure
        from scalesearch.plots.explain import explain_figure

        write_figure(explain_figure(document), out / "explain")
        print(f"wrote {out / 'explain'}.png and .svg", file=sys.stderr)
    if as_json:
        print_json(document)
        return
    for mode, members in document["families"].items():
        print_table(members, title=f"{mode} family")
    print("\n".join(f"- {sentence}" for sentence in document["words"]))


def calibrate(
    source: Annotated[str, typer.Argument(metavar="FILE|NAME", help="Experiment or baseline.")],
    batch_size: Annotated[int, typer.Option(help="Images of one forward pass.", min=1)] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    rounds: Annotated[int, typer.Option(help="Times each network is measured.", min=1)] = 15,
    depth: Depth = None,
    width: Width = None,
    resolution: Resolution = None,
    stem_stride: StemStride = None,
    num_classes: NumClasses = None,
    in_channels: InChannels = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the model into this .json, for solve and budgets.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure networks around a baseline on this machine, and fit what predicts their latency."""
    from scalesearch.latency import calibrate as calibration
    from scalesearch.latency import calibration_document, write_calibration
    from scalesearch.tables import print_json, print_table

    network, _ = baseline_and_budget(
        source,
        given(
            depth=depth,
            width=width,
            resolution=resolution,
            stem_stride=stem_stride,
            num_classes=num_classes,
            in_channels=in_channels,
        ),
        {},
    )
    found = calibration(
        as_data(network), batch_size=batch_size, device=device, threads=threads, rounds=rounds
    )
    document = calibration_document(found)
    if out is not None:
        print(f"wrote {write_calibration(out, document)}", file=sys.stderr)
    print_json(document) if as_json else print_table(document["networks"], title=found.summary)


def baselines(as_json: AsJson = False) -> None:
    """The networks that scaling can start from, each with what it costs and what it keeps."""
    from scalesearch.architectures.baselines import catalogue
    from scalesearch.tables import print_json, print_table

    rows = catalogue()
    print_json({"baselines": rows}) if as_json else print_table(rows)
