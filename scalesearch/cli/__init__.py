"""The command line: each command is options, one call of the API, and one print.

Exit codes: 0: done. 1: a bug in scalesearch, with its traceback. 2: an error that the user can
mend, in one message on standard error. 130: interrupted. Results go to standard output, everything
else to standard error.
"""

import io
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperGroup

from scalesearch.cli.bench_commands import bench, compare
from scalesearch.cli.deploy_commands import (
    calibrate_probabilities,
    export,
    import_,
    predict,
    pretrained,
)
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
from scalesearch.cli.train_commands import train
from scalesearch.errors import ScaleSearchError

COMMANDS: Mapping[str, Sequence[Callable[..., None]]] = {
    "Search": (search, resume, status, extend, retry, invalidate, dashboard),
    "Results": (summary, report, check_proxy, confirm, scaling_law),
    "Train and deploy": (
        train,
        predict,
        calibrate_probabilities,
        import_,
        pretrained,
        export,
    ),
    "Networks and cost": (
        baselines,
        cost,
        isocost,
        family,
        solve,
        explain,
        compare,
        bench,
        fit_latency,
    ),
    "Paper": (ablate, simulate),
    "System": (doctor,),
}
"""The commands in the groups and the order of ``--help``."""


ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Variable with the file from which torchrun reads why a process ended."""


class GroupedCommands(TyperGroup):
    """Commands that ``--help`` lists in groups, each on one line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each group under its name; no line is wrapped or cut."""
        width = max(map(len, self.commands))
        for group, commands in COMMANDS.items():
            with formatter.section(group):
                for command in commands:
                    name = command_name(command)
                    line = str(self.commands[name].help).partition("\n")[0]
                    formatter.write(f"  {name:<{width}}  {line}\n")


def command_name(command: Callable[..., None]) -> str:
    """Return the name of a command on the command line."""
    return command.__name__.rstrip("_").replace("_", "-")  # Python keeps "import" for itself


app = typer.Typer(
    cls=GroupedCommands,
    help="Search how to scale a network: deeper, wider, or at a higher resolution.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for group_name, group_commands in COMMANDS.items():
    for group_command in group_commands:
        app.command(command_name(group_command), rich_help_panel=group_name)(group_command)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"scalesearch {version('scalesearch')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Search how to scale a network: deeper, wider, or at a higher resolution."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command (by default that of ``sys.argv``) and exit."""
    with warnings.catch_warnings(), _silence_other_ranks():
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


@contextmanager
def _silence_other_ranks() -> Iterator[None]:
    """Under torchrun, let only rank 0 write to standard error.

    The message with which another rank ends goes to torchrun, which prints it in its report. The
    traceback of a bug is written by every rank.
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
