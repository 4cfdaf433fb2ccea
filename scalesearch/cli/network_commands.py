"""Commands about networks and their cost; they train nothing."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import scalesearch as ss
from scalesearch.cli.options import (
    AllowCode,
    AsJson,
    BenchmarkDevice,
    EndOptions,
    Resolution,
    RoundingName,
    SizeOptions,
    Threads,
    with_option_groups,
)

Source = Annotated[
    str, typer.Argument(metavar="FILE|NAME", help="An experiment file, or a baseline.")
]


@with_option_groups
def cost(
    name: Annotated[
        str,
        typer.Argument(
            help="A baseline such as efficientnet_b0, a YAML file of stages, or module:factory."
        ),
    ],
    *,
    size: SizeOptions,
    rounding: RoundingName = None,
    ends: EndOptions,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Count the multiply-adds and parameters of a network."""
    from scalesearch.reporting.console import print_json, print_table

    row = ss.network_cost(
        name,
        rounding=rounding,
        **asdict(size),
        **asdict(ends),
        allow_code=allow_code,
    )
    print_json(row) if as_json else print_table([row])


@with_option_groups
def isocost(
    source: Source,
    *,
    factor: Annotated[
        float | None,
        typer.Option(help="Budget as a multiple of the baseline's cost; by default 2."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Relative deviation from the budget that is allowed; by default 0.02."),
    ] = None,
    size: SizeOptions,
    rounding: RoundingName = None,
    ends: EndOptions,
    limit: Annotated[
        int | None,
        typer.Option(help="Number of rows; by default 20 in a table and all in JSON.", min=1),
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """List the networks whose real cost meets a budget."""
    from scalesearch.reporting.console import print_json, print_table

    table = ss.iso_cost_table(
        source,
        factor=factor,
        tolerance=tolerance,
        rounding=rounding,
        **asdict(size),
        **asdict(ends),
        allow_code=allow_code,
    )
    if as_json:
        print_json(table.document(limit))
        return
    budget, rows, count = table.budget, table.rows(limit or 20), len(table.candidates)
    shown = "" if len(rows) == count else f"; {len(rows)} of them, evenly spaced"
    title = f"{count:,} networks cost {budget.factor:g}x +-{budget.tolerance:.1%}"
    print_table(rows, title=f"{title} ({budget.measure}, rounding {budget.rounding_name}){shown}")


def family(
    source: Annotated[
        str,
        typer.Argument(
            help="published, a scheme such as paper, uniform or fast, a coefficients.json, or "
            "ALPHA,BETA,GAMMA."
        ),
    ],
    mode: Annotated[
        str | None,
        typer.Option(help="How members follow from phi: published, exact or matched."),
    ] = None,
    phi: Annotated[
        str, typer.Option(help="Values of phi: a range 0..7, or a list 0,0.5,1.")
    ] = "0..7",
    factor: Annotated[
        float | None,
        typer.Option(help="With --mode matched: cost of one step of phi, as a multiple."),
    ] = None,
    rounding: RoundingName = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Baseline to scale; by default that of the source, or efficientnet_b0."),
    ] = None,
    resolution: Resolution = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write family.json and family.yaml into this folder."),
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """List the networks b0, b1, ... of coefficients."""
    from scalesearch.cli.printing import print_written
    from scalesearch.reporting.console import print_json, print_table

    document = ss.family_table(
        source,
        mode=mode,
        phi=phi,
        factor=factor,
        rounding=rounding,
        baseline=baseline,
        resolution=resolution,
        out=out,
        allow_code=allow_code,
    )
    if out is not None:
        print_written(out / "family.json", out / "family.yaml")
    title = f"{document['mode']}, rounding {document['rounding']}, {source}"
    print_json(document) if as_json else print_table(document["members"], title=title)


def solve(
    source: Annotated[
        str,
        typer.Argument(help="A baseline, published, a coefficients.json, or ALPHA,BETA,GAMMA."),
    ],
    target: Annotated[
        str,
        typer.Option(help="Cost to meet: macs=1.0G, params=10M, activations=20M or latency=5ms."),
    ],
    coefficients: Annotated[
        str | None, typer.Option(help="Coefficients: a scheme such as paper, or ALPHA,BETA,GAMMA.")
    ] = None,
    rounding: RoundingName = None,
    latency_model: Annotated[
        Path | None,
        typer.Option(help="Latency model that `scalesearch fit-latency --out FILE.json` wrote."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the phi and the network for a target cost."""
    from scalesearch.families.solution import solution_rows
    from scalesearch.reporting.console import print_json, print_table

    document = ss.solve_target(
        source,
        target,
        coefficients=coefficients,
        rounding=rounding,
        latency_model=latency_model,
    )
    print_json(document) if as_json else print_table(
        solution_rows(document), title=document["message"]
    )


def explain(
    source: Annotated[
        str, typer.Argument(help="published, a coefficients.json, or ALPHA,BETA,GAMMA.")
    ] = "published",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write explain.png and explain.svg into this folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare published, exact and matched families."""
    from scalesearch.cli.printing import print_written
    from scalesearch.reporting.console import print_json, print_table

    document = ss.explain_family(source, out=out)
    if out is not None:
        print_written(f"{out / 'explain'}.png and .svg")
    if as_json:
        print_json(document)
        return
    for mode, members in document["families"].items():
        print_table(members, title=f"{mode} family")
    print("\n".join(f"- {sentence}" for sentence in document["words"]))


@with_option_groups
def fit_latency(
    source: Source,
    *,
    batch_size: Annotated[int, typer.Option(help="Images of one forward pass.", min=1)] = 1,
    device: BenchmarkDevice = "cpu",
    threads: Threads = 1,
    rounds: Annotated[
        int, typer.Option(help="Number of times that each network is timed.", min=1)
    ] = 15,
    size: SizeOptions,
    ends: EndOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the model to this .json file, for solve and budgets."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a latency model to this machine."""
    from scalesearch.benchmarking.latency_fit import latency_fit_document
    from scalesearch.cli.printing import print_written
    from scalesearch.reporting.console import print_json, print_table

    fit = ss.fit_latency(
        source,
        batch_size=batch_size,
        device=device,
        threads=threads,
        rounds=rounds,
        **asdict(size),
        **asdict(ends),
        out=out,
    )
    if out is not None:
        print_written(out)
    document = latency_fit_document(fit)
    print_json(document) if as_json else print_table(document["networks"], title=fit.summary)


def baselines(as_json: AsJson = False) -> None:
    """List the networks that scaling can start from."""
    from scalesearch.reporting.console import print_json, print_table

    rows = ss.baseline_table()
    print_json({"baselines": rows}) if as_json else print_table(rows)
