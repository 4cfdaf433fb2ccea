"""The command line: reads arguments, calls the API once, prints, and says by its exit code how it
went.

0: done. 1: a bug of ours, with its traceback. 2: something to mend, said in one message on
standard error. 130: interrupted. Results go to standard output, all else to standard error.
"""

import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn, TextIO

import typer

from scalesearch.cli.bench_commands import bench, compare
from scalesearch.cli.deploy_commands import calibrate_probabilities, predict, pretrained
from scalesearch.cli.maintenance_commands import dashboard, extend, invalidate, retry
from scalesearch.cli.network_commands import (
    baselines,
    cost,
    explain,
    family,
    fit_latency,
    isocost,
    solve,
)
from scalesearch.cli.paper_commands import ablate, simulate
from scalesearch.cli.result_commands import check_proxy, confirm, report, scaling_law
from scalesearch.cli.search_commands import doctor, resume, search, status, summary
from scalesearch.cli.train_commands import silence_other_ranks, train
from scalesearch.cli.transfer_commands import export, import_
from scalesearch.errors import ScaleSearchError

COMMANDS = (
    search,
    resume,
    status,
    summary,
    report,
    simulate,
    ablate,
    retry,
    invalidate,
    extend,
    check_proxy,
    confirm,
    scaling_law,
    dashboard,
    train,
    predict,
    calibrate_probabilities,
    import_,
    export,
    bench,
    compare,
    cost,
    isocost,
    family,
    solve,
    fit_latency,
    explain,
    baselines,
    pretrained,
    doctor,
)
"""In the order of ``--help``."""

app = typer.Typer(
    help="Search how to scale a network: deeper, wider, or at a higher resolution.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command(command.__name__.rstrip("_").replace("_", "-"))(
        command
    )  # Python keeps "import" for itself


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command (of ``sys.argv`` by default) and exit."""
    with warnings.catch_warnings(), silence_other_ranks():
        warnings.showwarning = _show_warning
        try:
            app(arguments, prog_name="scalesearch")
        except ScaleSearchError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
    sys.exit(0)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {message}", file=sys.stderr)
