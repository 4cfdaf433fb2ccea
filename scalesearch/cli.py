"""The command line: reads arguments, calls the API once, prints, and says by its exit code how it
went.

0: done. 1: a bug of ours, with its traceback. 2: something to mend, said in one message on
standard error. 130: interrupted. Results go to standard output, all else to standard error.
"""

import dataclasses
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO, TypeVar, cast

import typer

from scalesearch.errors import ArchitectureError, ScaleSearchError

# The parts of scalesearch are imported within the commands: `cost` has no use for torch.
if TYPE_CHECKING:
    from scalesearch.architectures import Architecture, Foreign
    from scalesearch.architectures.budget import Budget
    from scalesearch.experiment import Experiment
    from scalesearch.family import Mode

app = typer.Typer(
    help="Search how to scale a network: deeper, wider, or at a higher resolution.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Item = TypeVar("Item")

Width = Annotated[float | None, typer.Option(help="Width multiplier of the baseline.")]
Depth = Annotated[float | None, typer.Option(help="Depth multiplier of the baseline.")]
Resolution = Annotated[int | None, typer.Option(help="Input pixels per side.", min=1)]
StemStride = Annotated[int | None, typer.Option(help="1 suits small images.", min=1)]
InChannels = Annotated[int | None, typer.Option(help="Channels of the images.", min=1)]
NumClasses = Annotated[int | None, typer.Option(help="Outputs of the classifier.", min=1)]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Run the code of a baseline module:factory.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
RoundingName = Annotated[
    str | None, typer.Option(help="Rounding profile, such as official, nearest or even.")
]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command (of ``sys.argv`` by default) and exit."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app(arguments, prog_name="scalesearch")
        except ScaleSearchError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
    sys.exit(0)


@app.command()
def search(
    file: Annotated[
        Path, typer.Argument(help="An experiment, such as experiments/quickstart.yaml.")
    ],
    results: Annotated[
        Path | None, typer.Option(help="This search's own folder; by default results/<name>.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="recipe.epochs=3")
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Train an experiment's candidates; the same command goes on where it was stopped."""
    from scalesearch.experiment import read_experiment
    from scalesearch.progress import conclusion, shown
    from scalesearch.report import write_results
    from scalesearch.search import search as run
    from scalesearch.tables import print_json

    experiment = read_experiment(file, overrides or ())
    folder = results or Path("results") / experiment.name
    try:
        with shown() as on_epoch:
            run(experiment, folder, on_epoch=on_epoch, allow_code=allow_code)
        with _code(allow_code):
            found = write_results(folder)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {folder}", file=sys.stderr)
        raise
    if as_json:
        print_json(json.loads((folder / "coefficients.json").read_text(encoding="utf-8")))
    else:
        print(conclusion(found, folder, experiment.search.references))


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a search.")],
    as_json: AsJson = False,
) -> None:
    """How far a search is, and its candidates so far, the best first."""
    from scalesearch.report import status as status_of
    from scalesearch.tables import print_json, print_table

    now = status_of(folder)
    if as_json:
        print_json({**dataclasses.asdict(now), "results": now.rows})
    else:
        title = (
            f"{now.name}: {now.epochs} epochs on record, {now.seconds:,.0f} s of training, "
            f"{len(now.failures)} failed"
        )
        print_table(now.rows, title=title)


@app.command()
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
    options = _given(
        resolution=resolution,
        stem_stride=stem_stride,
        num_classes=num_classes,
        in_channels=in_channels,
    )
    with _refused("--depth, --width"):
        by = Multipliers(**_given(depth=depth, width=width))
    network = scaled(_baseline(name, **options), by, ROUNDINGS[profile])
    with _code(allow_code):
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


@app.command()
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

    network, budget = _baseline_and_budget(
        source,
        _given(
            depth=depth,
            width=width,
            resolution=resolution,
            stem_stride=stem_stride,
            num_classes=num_classes,
            in_channels=in_channels,
        ),
        _given(factor=factor, tolerance=tolerance, rounding=rounding),
    )
    with _code(allow_code):
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


@app.command()
def family(
    source: Annotated[
        str,
        typer.Argument(help="published, a coefficients.json, or ALPHA,BETA,GAMMA."),
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
    own = _baseline(baseline, **_given(resolution=resolution)) if baseline else None
    origin = read_source(source, own)
    with _code(allow_code):
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


@app.command()
def solve(
    source: Annotated[
        str, typer.Argument(help="A baseline, published, a coefficients.json, or ALPHA,BETA,GAMMA.")
    ],
    target: Annotated[str, typer.Option(help="macs=1.0G, params=10M or activations=20M.")],
    coefficients: Annotated[
        str | None, typer.Option(help="A scheme such as paper, or ALPHA,BETA,GAMMA.")
    ] = None,
    rounding: RoundingName = None,
    as_json: AsJson = False,
) -> None:
    """The phi, and the network, that costs what is asked; with the next smaller and larger one."""
    from scalesearch.architectures import BASELINES
    from scalesearch.family import read_source
    from scalesearch.solve import direction, rows, solve_document
    from scalesearch.tables import print_json, print_table

    if source in BASELINES or Path(source).suffix in (".yaml", ".yml"):
        network, profile = _as_data(_baseline(source)), None
        along = direction(coefficients or "paper")
    else:
        origin = read_source(source)
        network, profile = _as_data(origin.baseline), origin.rounding
        along = direction(coefficients) if coefficients else origin.coefficients
    with _refused("--rounding"):
        document = solve_document(network, along, target, rounding or profile or "official")
    print_json(document) if as_json else print_table(rows(document), title=document["message"])


@app.command()
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
    document = explanation(origin.coefficients, _as_data(origin.baseline), factor=origin.factor)
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


@app.command()
def baselines(as_json: AsJson = False) -> None:
    """The networks that scaling can start from, each with what it costs and what it keeps."""
    from scalesearch.architectures.baselines import catalogue
    from scalesearch.tables import print_json, print_table

    rows = catalogue()
    print_json({"baselines": rows}) if as_json else print_table(rows)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Versions, device, what is missing and what it is for."""
    from scalesearch.doctor import diagnosis
    from scalesearch.tables import print_json, print_table

    found = diagnosis()
    if as_json:
        print_json(found)
        return
    print_table(found["packages"], title=f"Python {found['python']}, {found['system']}")
    print(f"device   {found['device']}")
    print(f"cores    {found['usable_cores']} usable of {found['cores']}, {found['processor']}")
    print(f"missing  {', '.join(found['missing']) or 'nothing'}")


def _baseline_and_budget(
    source: str, options: dict[str, Any], limits: dict[str, Any]
) -> "tuple[Architecture | Foreign, Budget]":
    """Of an experiment file, whose values the options override, or of a baseline."""
    from scalesearch.architectures.budget import Budget

    if _is_experiment(source):
        from scalesearch.experiment import read_experiment

        overrides = [f"baseline.{name}={value}" for name, value in options.items()]
        overrides += [f"budget.{name}={value}" for name, value in limits.items()]
        experiment = read_experiment(source, overrides)
        return _as_searched(experiment), experiment.budget
    with _refused("budget"):
        budget = Budget(**limits)
    return _baseline(source, **options), budget


def _is_experiment(source: str) -> bool:
    if Path(source).suffix not in (".yaml", ".yml") and not Path(source).is_file():
        return False
    from scalesearch.experiment import is_network_file

    return not is_network_file(source)


def _baseline(name: str, **options: Any) -> "Architecture | Foreign":
    from scalesearch.architectures import BASELINES, baseline

    if name in BASELINES:
        return baseline(name, **options)  # without pydantic, which experiment loads
    from scalesearch.experiment import named_baseline

    return named_baseline(name, **options)


def _as_data(network: "Architecture | Foreign") -> "Architecture":
    from scalesearch.architectures import Architecture

    if not isinstance(network, Architecture):
        raise ArchitectureError(
            f"baseline {network.factory}: this command needs a network as data, whose rounding it "
            "knows, and code has its own; write its stages as YAML"
        )
    return network


@contextmanager
def _code(allowed: bool) -> Iterator[None]:
    """Networks made by code may be made within, if that is allowed; torch is loaded only then."""
    if not allowed:
        yield
        return
    from scalesearch.nets import code_allowed

    with code_allowed():
        yield


def _as_searched(experiment: "Experiment") -> "Architecture | Foreign":
    """The baseline that a search of the experiment starts from: its ends follow the data."""
    from scalesearch.data import load
    from scalesearch.errors import DataError

    try:
        data = load(experiment.data, experiment.seed)
    except DataError as error:
        warnings.warn(f"{error}; counted for RGB images of 1000 classes", stacklevel=2)
        return experiment.baseline.build()
    return experiment.baseline.build(in_channels=data.channels, num_classes=data.num_classes)


def _given(**options: Item | None) -> dict[str, Item]:
    """The options that were given; the others keep what the baseline has."""
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def _refused(where: str) -> Iterator[None]:
    """A rule that a value given here breaks is the user's to mend."""
    try:
        yield
    except ValueError as error:
        raise ArchitectureError(f"{where}: {error}") from error


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {message}", file=sys.stderr)
