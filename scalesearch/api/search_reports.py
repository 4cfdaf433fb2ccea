"""Reports on a search: summary, page, proxy check, confirmation, scaling laws."""

import sys
from collections.abc import Sequence
from pathlib import Path

from scalesearch.analysis.conclusion import Conclusion
from scalesearch.api.searches import run_search
from scalesearch.api.worker_config import INLINE, WorkerConfig
from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.models.custom_model import code_allowed
from scalesearch.reporting import page
from scalesearch.reporting.confirmation_report import (
    SENSITIVITY_FOLDER,
    ConfirmationResult,
    write_confirmation,
)
from scalesearch.reporting.folder_conclusion import conclusion_of_folder
from scalesearch.reporting.proxy_report import ProxyCheck, proxy_check, write_proxy_check
from scalesearch.reporting.scaling_law_report import (
    ScalingLaws,
    scaling_laws_of_folder,
    write_scaling_laws,
)
from scalesearch.reporting.update import write_results
from scalesearch.results.records import read_records
from scalesearch.search.confirmation import (
    CONFIRMATION_FOLDER,
    confirmation_experiment,
    learning_rate_experiments,
    learning_rate_rule_experiments,
)
from scalesearch.search.maintenance import read_search_experiment

DEFAULT_TOP = 3
"""Number of the best candidates that a proxy check trains again."""


def summarize(folder: str | Path, *, level: float = 0.1) -> Conclusion:
    """Return everything that can be concluded from the search in a folder.

    ``level``: significance level of intervals and tests. Raises SearchError where a file is
    missing or no candidate has finished.
    """
    return conclusion_of_folder(folder, level=level)


def write_report(folder: str | Path, *, allow_code: bool = False) -> tuple[Path, Path]:
    """Write ``report.html``, ``report.md`` and the figures of a search."""
    with code_allowed(allow_code):
        return page.write_report(folder)


def check_proxy(
    folder: str | Path,
    beside: Sequence[str | Path] = (),
    workers: WorkerConfig = INLINE,
    *,
    threshold: float = 0.7,
    level: float = 0.1,
    learning_rate: bool = False,
    rules: bool = False,
    top: int | None = None,
    storage: str | None = None,
    allow_code: bool = False,
    progress: bool = False,
) -> ProxyCheck:
    """Check whether short runs rank candidates like long ones; write ``audit.json``.

    ``beside``: other searches of the same candidates to compare with. ``threshold``: the rank
    correlation that an epoch must reach. ``learning_rate``, ``rules``: first train the ``top``
    best candidates again at half and double the learning rate, or by the other rules.
    """
    if top is not None and not (learning_rate or rules):
        raise SearchError(
            "--top: need --learning-rate or --rules, which train the best candidates again, got "
            "neither; add one, or leave --top out"
        )
    folder = Path(folder)
    if learning_rate or rules:
        experiment, records = read_search_experiment(folder), read_records(folder / "records.csv")
        number = top or DEFAULT_TOP
        experiments: dict[str, Experiment] = {}
        if learning_rate:
            experiments |= learning_rate_experiments(experiment, records, top=number)
        if rules:
            experiments |= learning_rate_rule_experiments(experiment, records, top=number)
        for name, changed_experiment in experiments.items():
            changed_folder = folder / SENSITIVITY_FOLDER / name
            if progress:
                print(f"{name}: {changed_folder}", file=sys.stderr)
            run_search(
                changed_experiment,
                changed_folder,
                workers,
                storage=storage,
                allow_code=allow_code,
                progress=progress,
            )
    check = proxy_check(folder, beside, level=level, threshold=threshold)
    write_proxy_check(folder, check)
    return check


def confirm(
    folder: str | Path,
    epochs: int,
    workers: WorkerConfig = INLINE,
    *,
    top: int = 5,
    seeds: int | None = None,
    level: float = 0.1,
    storage: str | None = None,
    allow_code: bool = False,
    progress: bool = False,
) -> ConfirmationResult:
    """Train the best candidates and the references longer with new seeds.

    ``epochs``: more than the search trained. ``seeds``: by default as many as the search has.
    """
    folder = Path(folder)
    experiment, records = read_search_experiment(folder), read_records(folder / "records.csv")
    run_search(
        confirmation_experiment(experiment, records, epochs, top=top, seeds=seeds),
        folder / CONFIRMATION_FOLDER,
        workers,
        storage=storage,
        allow_code=allow_code,
        progress=progress,
    )
    if experiment.search.sampler != "points":
        with code_allowed(allow_code):
            write_results(folder)  # the search's own conclusion includes the confirmation
    return write_confirmation(folder, level=level)


def fit_scaling_laws(
    folder: str | Path,
    *,
    factor: float = 2.0,
    phis: Sequence[float] = (1, 2, 3, 4),
    hold_out: float | None = None,
    level: float = 0.1,
) -> ScalingLaws:
    """Fit accuracy against cost along each direction of a search; write ``laws.json``.

    ``factor``: cost of one step of phi. ``phis``: where to predict. ``hold_out``: check each law on
    the cheapest network of at least so many times the baseline's cost.
    """
    scaling_laws = scaling_laws_of_folder(
        folder, factor=factor, phis=phis, hold_out=hold_out, level=level
    )
    write_scaling_laws(Path(folder), scaling_laws)
    return scaling_laws
