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
    argument_errors,
    baseline_and_budget,
    code_allowed_if,
    given_options,
    read_baseline,
    require_architecture,
)
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.families.members import FamilyMode


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
    from scalesearch.architectures.cost import cost as architecture_cost
    from scalesearch.architectures.fingerprint import fingerprint
    from scalesearch.architectures.scaled import scale
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.scaling.coefficients import Multipliers
    from scalesearch.scaling.rounding import ROUNDINGS

    profile = rounding or "official"
    if profile not in ROUNDINGS:
        raise ArchitectureError(f"--rounding: need one of {', '.join(ROUNDINGS)}, got {profile!r}")
    options = given_options(
        resolution=resolution,
        stem_stride=stem_stride,
        num_classes=num_classes,
        in_channels=in_channels,
    )
    with argument_errors("--depth, --width"):
        multipliers = Multipliers(**given_options(depth=depth, width=width))
    network = scale(read_baseline(name, **options), multipliers, ROUNDINGS[profile])
    with code_allowed_if(allow_code):
        row = {
            "name": name,
            "depth": multipliers.depth,
            "width": multipliers.width,
            "resolution": network.resolution,
            "rounding": profile,
            **dataclasses.asdict(architecture_cost(network)),
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
    from scalesearch.candidates.iso_cost import iso_cost_set as iso_cost_candidates
    from scalesearch.reporting.console import candidate_rows, print_json, print_table
    from scalesearch.scaling.rounding import rounding_spec

    network, budget = baseline_and_budget(
        source,
        given_options(
            depth=depth,
            width=width,
            resolution=resolution,
            stem_stride=stem_stride,
            num_classes=num_classes,
            in_channels=in_channels,
        ),
        given_options(factor=factor, tolerance=tolerance, rounding=rounding),
    )
    with code_allowed_if(allow_code):
        candidates = iso_cost_candidates(network, budget)
    rows = candidate_rows(candidates, limit or (None if as_json else 20))
    document = {
        "measure": budget.measure,
        "factor": budget.factor,
        "tolerance": budget.tolerance,
        "rounding": rounding_spec(budget.rounding),
        "count": len(candidates),
    }
    if as_json:
        print_json({**document, "candidates": rows})
    else:
        rows_text = "" if len(rows) == len(candidates) else f"; {len(rows)} of them, evenly spaced"
        title = f"{len(candidates):,} networks cost {budget.factor:g}x +-{budget.tolerance:.1%}"
        print_table(
            rows, title=f"{title} ({budget.measure}, rounding {budget.rounding_name}){rows_text}"
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
    from scalesearch.families.members import family_document, write_family
    from scalesearch.families.origin import parse_phis, read_family_source
    from scalesearch.reporting.console import print_json, print_table

    if resolution and not baseline:
        raise ArchitectureError("--resolution: is a baseline's; name one with --baseline")
    baseline_network = (
        read_baseline(baseline, **given_options(resolution=resolution)) if baseline else None
    )
    family_source = read_family_source(source, baseline_network)
    with code_allowed_if(allow_code):
        document = family_document(
            family_source.coefficients,
            family_source.baseline,
            mode=cast("FamilyMode", mode or family_source.mode),
            phis=parse_phis(phi),
            rounding=rounding or family_source.rounding,
            factor=family_source.factor if factor is None else factor,
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
        Path | None, typer.Option(help="What `scalesearch fit-latency --out FILE.json` wrote.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The phi, and the network, that costs what is asked; with the next smaller and larger one."""
    from scalesearch.architectures.baselines import BASELINES
    from scalesearch.architectures.latency_model import read_latency_model
    from scalesearch.families.origin import read_family_source
    from scalesearch.families.solution import parse_coefficients, solution_rows, solve_document
    from scalesearch.reporting.console import print_json, print_table

    if source in BASELINES or Path(source).suffix in (".yaml", ".yml"):
        network, profile = require_architecture(read_baseline(source)), None
        coefficients_direction = parse_coefficients(coefficients or "paper")
    else:
        family_source = read_family_source(source)
        network, profile = require_architecture(family_source.baseline), family_source.rounding
        coefficients_direction = (
            parse_coefficients(coefficients) if coefficients else family_source.coefficients
        )
    latency = read_latency_model(latency_model) if latency_model else None
    with argument_errors("--rounding"):
        document = solve_document(
            network, coefficients_direction, target, rounding or profile or "official", latency
        )
    print_json(document) if as_json else print_table(
        solution_rows(document), title=document["message"]
    )


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
    from scalesearch.families.explanation import explain as explanation_document
    from scalesearch.families.origin import read_family_source
    from scalesearch.reporting.console import print_json, print_table

    family_source = read_family_source(source)
    document = explanation_document(
        family_source.coefficients,
        require_architecture(family_source.baseline),
        factor=family_source.factor,
    )
    if out is not None:
        from scalesearch.figures.family_figures import explain_figure
        from scalesearch.figures.style import write_figure

        write_figure(explain_figure(document), out / "explain")
        print(f"wrote {out / 'explain'}.png and .svg", file=sys.stderr)
    if as_json:
        print_json(document)
        return
    for mode, members in document["families"].items():
        print_table(members, title=f"{mode} family")
    print("\n".join(f"- {sentence}" for sentence in document["words"]))


def fit_latency(
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
    from scalesearch.benchmarking import latency_fit as latency_fitting
    from scalesearch.reporting.console import print_json, print_table

    network, _ = baseline_and_budget(
        source,
        given_options(
            depth=depth,
            width=width,
            resolution=resolution,
            stem_stride=stem_stride,
            num_classes=num_classes,
            in_channels=in_channels,
        ),
        {},
    )
    latency_fit = latency_fitting.fit_latency(
        require_architecture(network),
        batch_size=batch_size,
        device=device,
        threads=threads,
        rounds=rounds,
    )
    document = latency_fitting.latency_fit_document(latency_fit)
    if out is not None:
        print(f"wrote {latency_fitting.write_latency_fit(out, document)}", file=sys.stderr)
    print_json(document) if as_json else print_table(
        document["networks"], title=latency_fit.summary
    )


def baselines(as_json: AsJson = False) -> None:
    """The networks that scaling can start from, each with what it costs and what it keeps."""
    from scalesearch.architectures.baselines import baseline_table
    from scalesearch.reporting.console import print_json, print_table

    rows = baseline_table()
    print_json({"baselines": rows}) if as_json else print_table(rows)
