"""Commands that train, look at what was trained, or at what there is to train with."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.options import AllowCode, AsJson
from scalesearch.cli.sources import code
from scalesearch.errors import SearchError

# The parts of scalesearch are imported within the commands: help has no use for torch.


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
        with shown() as (on_epoch, on_data):
            run(experiment, folder, on_epoch=on_epoch, on_data=on_data, allow_code=allow_code)
        with code(allow_code):
            found = write_results(folder)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {folder}", file=sys.stderr)
        raise
    if as_json:
        print_json(json.loads((folder / "coefficients.json").read_text(encoding="utf-8")))
    else:
        print(conclusion(found, folder, experiment.search.references))


def status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a search.")],
    watch: Annotated[bool, typer.Option("--watch", help="Look on until it ends.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Between two looks.")
    ] = 2.0,
    as_json: AsJson = False,
) -> None:
    """How far a search is, and its candidates so far, the best first."""
    from scalesearch.progress import interrupted, status_lines, watched
    from scalesearch.report import status as status_of
    from scalesearch.tables import print_json, print_table

    if watch:
        watched(folder, interval)
    now = status_of(folder)
    if as_json:
        print_json(now.document)
    else:
        print(status_lines(now, folder))
        for rows in (now.job_rows, now.rows):
            if rows:
                print_table(rows)
    if watch and now.standing.state == "interrupted":
        raise SearchError(interrupted(folder))


def doctor(as_json: AsJson = False) -> None:
    """Versions, device, what is missing and what it is for, and which number format is faster."""
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
    for extra in found["optional"]:
        print(f"extra    {extra['package']} {extra['version'] or 'none'}: {extra['needed_for']}")
    if found["precision"] is not None:
        print(f"formats  {found['precision']['advice']}")
