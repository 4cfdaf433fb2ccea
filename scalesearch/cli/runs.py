"""What several commands do alike: train until an answer is there, or foretell that."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.cli.sources import code_allowed_if

if TYPE_CHECKING:
    from scalesearch.analysis import Conclusion
    from scalesearch.experiment import Experiment
    from scalesearch.search.forecast import DryRun


def run_search_and_print(
    experiment: "Experiment",
    folder: Path,
    *,
    as_json: bool,
    allow_code: bool,
    **options: Any,
) -> None:
    """Bring a search to its end and print its answer. ``options``: as ``search`` takes them."""
    from scalesearch.progress import finished_search_text
    from scalesearch.report import search_status
    from scalesearch.tables import print_json, print_table

    conclusion_result = run_search_to_end(experiment, folder, allow_code=allow_code, **options)
    if conclusion_result is None:  # networks that were asked for one by one have no answer, but results
        now = search_status(folder)
        print_json(now.document) if as_json else print_table(now.rows, title=experiment.name)
    elif as_json:
        print_json(json.loads((folder / "coefficients.json").read_text(encoding="utf-8")))
    else:
        print(finished_search_text(conclusion_result, folder, experiment.search.references))


def run_search_to_end(
    experiment: "Experiment", folder: Path, *, allow_code: bool, **options: Any
) -> "Conclusion | None":
    """Bring a search to its end, shown on standard error, and write its results; what is
    concluded from them, which is nothing for networks that are listed one by one."""
    from scalesearch.progress import show_search
    from scalesearch.report import conclusion_of_folder, write_results
    from scalesearch.search import run_search

    is_point_list = experiment.search.sampler == "points"
    try:
        with show_search(folder / "news") as (on_progress, on_data):
            run_search(
                experiment,
                folder,
                on_progress=on_progress,
                on_data=on_data,
                allow_code=allow_code,
                **options,
            )
        with code_allowed_if(allow_code):
            if is_point_list:
                return None
            write_results(folder)
            return conclusion_of_folder(folder)
    except KeyboardInterrupt:
        print(_stopped_message(folder), file=sys.stderr)
        raise


def _stopped_message(folder: Path) -> str:
    if not (folder / "experiment.yaml").is_file():
        return "stopped before anything was trained; the same command begins again"
    return f"stopped; `scalesearch resume {folder}` goes on from there"


def print_dry_run(experiment: "Experiment", *, as_json: bool, **options: Any) -> None:
    """Print what a search would train, and show. ``options``: as ``foretold`` takes them."""
    from scalesearch.progress import power_lines
    from scalesearch.tables import print_json, print_table

    dry_run_result = dry_run_with_noise(experiment, **options)
    if as_json:
        print_json(dry_run_result.document)
        return
    print_table(dry_run_result.candidates, title="candidates")
    print_table(dry_run_result.job_rows, title="jobs")
    print("\n".join([*dry_run_result.summary_lines, *power_lines(dry_run_result.power, noise=dry_run_result.noise)]))


def dry_run_with_noise(
    experiment: "Experiment", *, noise_from: Path | None = None, **options: Any
) -> "DryRun":
    """What a search would train, and show. ``noise_from``: a search whose noise is known.
    ``options``: as ``forecast`` takes them."""
    from scalesearch.search.forecast import forecast
    from scalesearch.search.noise import noise_from_records as read_noise

    noise = None if noise_from is None else read_noise(noise_from)
    return forecast(experiment, noise=noise, **options)
