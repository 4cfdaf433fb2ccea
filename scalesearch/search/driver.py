"""One search from its experiment to its records: folder, study, workers, and the engine between.

It is the study's only driver. What an epoch measured is in its checkpoint before it is in the
study, and a run starts where the study ends: whatever moment the driver dies at, the same command
goes on from there and trains no epoch that is on record.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from scalesearch.environment import read_environment
from scalesearch.experiment import Experiment, to_document
from scalesearch.nets import code_allowed
from scalesearch.records import read_records
from scalesearch.search import study as ledger
from scalesearch.search.advance import Survey, advance, fitting, survey
from scalesearch.search.crew import Crew
from scalesearch.search.engine import Engine
from scalesearch.search.executors import opened
from scalesearch.search.folder import Folder, claim, locked
from scalesearch.search.interrupts import interruptible
from scalesearch.search.news import forgotten
from scalesearch.search.notebook import Notebook, read_failures
from scalesearch.search.plan import plan, space
from scalesearch.search.points import listed
from scalesearch.search.proposal_log import read_log, replayed
from scalesearch.search.proposals import directions
from scalesearch.search.pruners import OptunaPruner
from scalesearch.search.requirements import (
    require_devices,
    require_equal_lengths,
    require_fit,
    require_from_the_beginning,
)
from scalesearch.search.schedule import Schedule
from scalesearch.search.setting import Setting, rules
from scalesearch.search.source import PRUNED_BY_OTHERS, Source
from scalesearch.search.watch import OnProgress, Watch

OnData = Callable[[int, int], None]


class MicroBatchWarning(UserWarning):
    """A study whose batches are taken in parts, since its largest network asks for it."""


class FailureWarning(UserWarning):
    """A candidate that could not be trained."""


def search(
    experiment: Experiment,
    results: str | Path | None = None,
    *,
    executor: str | Executor = "inline",
    workers: int | None = None,
    scheduler: str | None = None,
    devices: Sequence[str] | None = None,
    memory: int | None = None,
    storage: str | None = None,
    replay: str | Path | None = None,
    on_progress: OnProgress | None = None,
    on_data: OnData | None = None,
    allow_code: bool = False,
    keep: bool = False,
) -> pd.DataFrame:
    """Train everything the experiment asks for and return its records.

    ``results``: the search's own folder, by default ``results/<name>``; where this experiment was
    begun there, it goes on. ``executor``, ``workers``, ``scheduler``, ``devices``, ``memory``: who
    trains (see ``executors.opened``). ``storage``: the URL of a database for the study, in place of
    the folder's SQLite file. ``replay``: the folder of another search, whose proposals are made
    again in place of the sampler's. ``on_progress`` is called after every event and at least once
    a second, ``on_data`` with what is done and what there is, while images are downloaded and
    decoded. ``allow_code``: run the code of a baseline ``module:factory``, which is refused
    otherwise. ``keep``: leave the checkpoints of what is trained to the end, for ``retrained``.

    Raises ArchitectureError, DataError or SearchError, before anything is trained or written,
    where the experiment cannot be run as it stands; SearchFailed, with everything on record, where
    the images or a bug stopped it; KeyboardInterrupt after SIGINT or SIGTERM.
    """
    path = Path(results) if results is not None else Path("results") / experiment.name
    require_equal_lengths(experiment)
    require_from_the_beginning(experiment)
    with (
        code_allowed(allow_code),
        opened(
            executor,
            advance=advance,
            workers=workers,
            scheduler=scheduler,
            devices=devices,
            memory=memory,
            logs=path / "logs",
        ) as crew,
    ):
        # In this process somebody may be shown how the images come.
        surveyed = (
            survey(experiment, on_data) if executor == "inline" else crew.ask(survey, experiment)
        )
        require_devices(devices, surveyed.device)
        return _searched(
            experiment, path, crew, surveyed, storage, replay, on_progress, allow_code, keep
        )


def _searched(
    experiment: Experiment,
    path: Path,
    crew: Crew,
    surveyed: Survey,
    storage: str | None,
    replay: str | Path | None,
    on_progress: OnProgress | None,
    allow_code: bool,
    keep: bool,
) -> pd.DataFrame:
    source = source_of(experiment, surveyed.data, replay)
    facts = {**surveyed.environment, "data": surveyed.data}
    folder = claim(path, experiment, facts, storage)
    with locked(path), held_study(folder, experiment, source, storage) as study:
        folder.halt.unlink(missing_ok=True)
        folder.progress.unlink(missing_ok=True)
        forgotten(folder.news)
        setting = Setting(
            experiment,
            folder,
            source.where.baseline,
            surveyed.data,
            surveyed.device,
            _micro_batch(study, experiment, source, crew, surveyed.device, allow_code),
            allow_code,
            keep,
        )
        engine = Engine(
            experiment,
            source,
            schedule_of(experiment),
            study,
            crew,
            setting.job,
            Notebook(folder),
            setting.forget,
            folder.halt.touch,
        )
        _run(engine, folder, on_progress)
        return ledger.records(engine.in_order)


def source_of(
    experiment: Experiment, data: dict[str, Any], replay: str | Path | None = None
) -> Source:
    """The candidates of an experiment on these images. Raises ArchitectureError or SearchError."""
    require_fit(experiment, data)
    known = {"in_channels": data["channels"], "num_classes": len(data["classes"])}
    baseline, search = experiment.baseline.build(**known), experiment.search
    if search.sampler == "points":
        where, planned = listed(search.points, baseline, experiment.budget)
    else:
        where = space(baseline, experiment.budget)
        planned = plan(search, where)
    return Source(experiment, where, planned, replayed(replay) if replay else ())


def schedule_of(experiment: Experiment) -> Schedule:
    """An empty schedule by the experiment's rules."""
    name = experiment.search.pruner
    other = name in PRUNED_BY_OTHERS
    pruner = OptunaPruner(name, experiment.rungs, experiment.search.eta) if other else None
    return Schedule(rules(experiment), pruner)


@contextmanager
def held_study(
    folder: Folder, experiment: Experiment, source: Source, storage: str | None
) -> Iterator[optuna.Study]:
    """The search's study, for this driver alone; made again from the records where it is gone."""
    kept = storage or folder.study
    study = ledger.open_study(kept, experiment.name, directions(experiment.search))
    try:
        with ledger.exclusive(study):
            ledger.bind(study, _what(experiment, folder))
            if folder.records.exists() and ledger.must_be_rebuilt(study):
                ledger.rebuilt(
                    study,
                    read_records(folder.records),
                    experiment,
                    source.where,
                    source.planned,
                    read_failures(folder.failures),
                    read_log(folder.path) if folder.proposals.exists() else (),
                )
            yield study
    finally:
        ledger.close(study)


def _what(experiment: Experiment, folder: Folder) -> dict[str, Any]:
    """What tells apart studies of one name in a database that others use as well."""
    told = to_document(experiment)
    begun = read_environment(folder.environment)
    what = {name: told[name] for name in ("baseline", "data", "budget", "recipe", "seed")}
    images = begun["data"]["fingerprints"].get(str(experiment.seed))  # more seeds may come
    return what | {"images": images, "device": begun["device"]}


def _micro_batch(
    study: optuna.Study,
    experiment: Experiment,
    source: Source,
    crew: Crew,
    device: str,
    allow_code: bool,
) -> int | None:
    """The study's one micro-batch: what is on record, else what is found now and written down."""
    if "micro_batch" in study.user_attrs:
        size: int | None = study.user_attrs["micro_batch"]
        return size
    # Of a nominal budget the candidates are a mesh, between whose points cells may lie.
    candidates = [*source.where.candidates, *(item.candidate for item in source.planned)]
    networks = [source.where.baseline, *(candidate.architecture for candidate in candidates)]
    found = crew.ask(fitting, experiment, networks, device, allow_code)
    study.set_user_attr("micro_batch", found)
    if found != experiment.recipe.micro_batch:
        warnings.warn(
            f"the largest network does not fit {device} with {experiment.recipe.batch_size} images "
            f"in a pass: all are trained with micro-batches of {found}, which is what batch norm "
            "sees (column micro_batch of the records)",
            MicroBatchWarning,
            stacklevel=4,
        )
    return found


def _run(engine: Engine, folder: Folder, on_progress: OnProgress | None) -> None:
    """Let the engine run, tell how far it is, and end in order when a signal asks for it."""
    watch = Watch(engine, folder, on_progress)
    told, over = 0, False
    with interruptible(engine.halt) as interrupted:
        try:
            for _ in engine.run():
                told = _warn(engine, told)
                watch.tell()
            over = not interrupted()
        finally:
            watch.tell(last=True, finished=over)
            folder.halt.unlink(missing_ok=True)
        if interrupted():
            raise KeyboardInterrupt


def _warn(engine: Engine, told: int) -> int:
    """Say which candidates could not be trained, of those that have ended after so many others;
    how many have ended now."""
    for entry in engine.ended[told:]:
        if entry.state != "failed":
            continue
        role = entry.facts["role"]
        warnings.warn(
            f"{role}: {entry.kind}: {entry.reason}; the search goes on",
            FailureWarning,
            stacklevel=4,
        )
    return len(engine.ended)
