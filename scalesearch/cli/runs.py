"""What several commands do alike: train until an answer is there, or foretell that."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.cli.sources import code

if TYPE_CHECKING:
    from scalesearch.analysis import Conclusion
    from scalesearch.experiment import Experiment
    from scalesearch.search.forecast import Forecast


def train_on(
    experiment: "Experiment",
    folder: Path,
    *,
    as_json: bool,
    allow_code: bool,
    **options: Any,
) -> None:
    """Bring a search to its end and print its answer. ``options``: as ``search`` takes them."""
    from scalesearch.progress import conclusion
    from scalesearch.report import status
    from scalesearch.tables import print_json, print_table

    found = trained(experiment, folder, allow_code=allow_code, **options)
    if found is None:  # networks that were asked for one by one have no answer, but results
        now = status(folder)
        print_json(now.document) if as_json else print_table(now.rows, title=experiment.name)
    elif as_json:
        print_json(json.loads((folder / "coefficients.json").read_text(encoding="utf-8")))
    else:
        print(conclusion(found, folder, experiment.search.references))


def trained(
    experiment: "Experiment", folder: Path, *, allow_code: bool, **options: Any
) -> "Conclusion | None":
    """Bring a search to its end, shown on standard error, and write its results; what is
    concluded from them, which is nothing for networks that are listed one by one."""
    from scalesearch.progress import search_shown
    from scalesearch.report import concluded, write_results
    from scalesearch.search import search

    listed = experiment.search.sampler == "points"
    try:
        with search_shown(folder / "news") as (on_progress, on_data):
            search(
                experiment,
                folder,
                on_progress=on_progress,
                on_data=on_data,
                allow_code=allow_code,
                **options,
            )
        with code(allow_code):
            if listed:
                return None
            write_results(folder)
            return concluded(folder)
    except KeyboardInterrupt:
        print(_stopped(folder), file=sys.stderr)
        raise


def _stopped(folder: Path) -> str:
    if not (folder / "experiment.yaml").is_file():
        return "stopped before anything was trained; the same command begins again"
    return f"stopped; `scalesearch resume {folder}` goes on from there"


def foretell(experiment: "Experiment", *, as_json: bool, **options: Any) -> None:
    """Print what a search would train, and show. ``options``: as ``foretold`` takes them."""
    from scalesearch.progress import power_lines
    from scalesearch.tables import print_json, print_table

    found = foretold(experiment, **options)
    if as_json:
        print_json(found.document)
        return
    print_table(found.candidates, title="candidates")
    print_table(found.job_rows, title="jobs")
    print("\n".join([*found.lines, *power_lines(found.power, noise=found.noise)]))


def foretold(
    experiment: "Experiment", *, noise_from: Path | None = None, **options: Any
) -> "Forecast":
    """What a search would train, and show. ``noise_from``: a search whose noise is known.
    ``options``: as ``forecast`` takes them."""
    from scalesearch.search.forecast import forecast
    from scalesearch.search.noise import noise_from as known

    noise = None if noise_from is None else known(noise_from)
    return forecast(experiment, noise=noise, **options)
