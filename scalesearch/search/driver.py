"""The driver: asks for candidates, trains them, writes everything down, and can be killed.

It is the ledger's only writer. What an epoch measured is in its checkpoint before it is in the
ledger, and a run starts where the ledger ends: whatever moment the driver dies at, the same
command goes on from there and trains no epoch that is on record.
"""

import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from optuna.trial import FrozenTrial, TrialState

from scalesearch.data import Dataset, load, require_policy
from scalesearch.environment import commit, environment
from scalesearch.errors import SearchError
from scalesearch.experiment import DataSpec, Experiment
from scalesearch.files import write_text
from scalesearch.nets import code_allowed
from scalesearch.records import write_records
from scalesearch.scaling import Shares
from scalesearch.search import ledger
from scalesearch.search.folder import claim, locked
from scalesearch.search.plan import Cell, Planned, Space, plan, space
from scalesearch.search.proposals import proposal
from scalesearch.search.runs import Setting, runs
from scalesearch.training import (
    Epoch,
    OutOfMemory,
    TrainingDiverged,
    fitting_micro_batch,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is, after an epoch.

    ``best``: effective shares and mean final accuracy of the best completed candidate so far.
    ``seconds_left``: at the pace of the epochs trained by this process.
    """

    trial: int
    seed: int
    epoch: Epoch
    epochs_done: int
    epochs_total: int
    failed: int
    best: tuple[Shares, float] | None
    seconds_left: float


class MicroBatchWarning(UserWarning):
    """A study whose batches are taken in parts, since its largest network asks for it."""


class FailureWarning(UserWarning):
    """A candidate that could not be trained."""


def search(
    experiment: Experiment,
    results: str | Path | None = None,
    *,
    on_epoch: Callable[[Progress], None] | None = None,
    on_data: Callable[[int, int], None] | None = None,
    allow_code: bool = False,
) -> pd.DataFrame:
    """Train everything the experiment asks for and return its records.

    ``results``: the search's own folder, by default ``results/<name>``; where this experiment was
    begun there, it goes on. ``on_epoch`` is called after every epoch, ``on_data`` with what is done
    and what there is, while images are downloaded and decoded. ``allow_code``: run the code of a
    baseline ``module:factory``, which is refused otherwise.

    Raises ArchitectureError, DataError or SearchError, before anything is trained or written,
    where the experiment cannot be run as it stands.
    """
    with code_allowed(allow_code):
        return _searched(experiment, results, on_epoch, on_data)


def _searched(
    experiment: Experiment,
    results: str | Path | None,
    on_epoch: Callable[[Progress], None] | None,
    on_data: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    path = Path(results) if results is not None else Path("results") / experiment.name
    device = chosen_device(experiment.device)
    _require_equal_lengths(experiment)
    resident = partial(_resident, experiment.data, device, on_data)
    dataset = lru_cache(maxsize=None)(resident)
    facts = _facts(experiment, dataset)
    first = dataset(experiment.seed)
    baseline = experiment.baseline.build(in_channels=first.channels, num_classes=first.num_classes)
    _require_fit(experiment, first)
    require_policy(experiment.recipe.augmentation.policy)
    where = space(baseline, experiment.budget)
    planned = plan(experiment.search, where)
    folder = claim(path, experiment, {**environment(device), "data": facts})
    with locked(path):
        study = ledger.open_study(folder.study, experiment.name)
        micro_batch = ledger.micro_batch(
            study, partial(_fitting, experiment, where, planned, first, device)
        )
        setting = Setting(
            experiment, folder, study, where, planned, dataset, device, commit(), micro_batch
        )
        _remove_leftovers(setting)
        for progress in _followed(setting):
            if on_epoch:
                on_epoch(progress)
        return _projected(setting)


def chosen_device(name: str) -> str:
    """``auto`` means CUDA where there is one, and the CPU elsewhere."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise SearchError(f"device: need auto, cpu or cuda, got {name!r}") from error
    if kind not in ("cpu", "cuda"):
        raise SearchError(f"device: need auto, cpu or cuda, got {name!r}")
    if kind == "cuda" and (torch.device(name).index or 0) >= torch.cuda.device_count():
        raise SearchError(
            f"device: {name!r} was asked for, and torch sees {torch.cuda.device_count()} of CUDA"
        )
    return name


def _resident(
    spec: DataSpec, device: str, on_data: Callable[[int, int], None] | None, seed: int
) -> Dataset:
    """A seed's images, on the device for as long as the search goes on where they fit it."""
    return load(spec, seed, device=device, progress=on_data).to(device)


def _fitting(
    experiment: Experiment,
    where: Space,
    planned: Sequence[Planned],
    data: Dataset,
    device: str,
) -> int | None:
    # Of a nominal budget the candidates are a mesh, between whose points cells may lie.
    candidates = [*where.candidates, *(cell.candidate for cell in planned)]
    networks = [where.baseline, *(candidate.architecture for candidate in candidates)]
    together = experiment.search.seeds if experiment.search.together else 1
    recipe = experiment.recipe
    found = fitting_micro_batch(networks, recipe, data, device=device, together=together)
    if found != recipe.micro_batch:
        warnings.warn(
            f"the largest network does not fit {device} with {recipe.batch_size} images in a pass: "
            f"all are trained with micro-batches of {found}, which is what batch norm sees "
            "(column micro_batch of the records)",
            MicroBatchWarning,
            stacklevel=2,
        )
    return found


def _require_equal_lengths(experiment: Experiment) -> None:
    if experiment.recipe.patience is not None:
        raise SearchError(
            "recipe.patience: need null in a search, which compares networks after equally many "
            f"epochs, got {experiment.recipe.patience}; early stopping is for `scalesearch train`"
        )


def _require_fit(experiment: Experiment, data: Dataset) -> None:
    asked = experiment.baseline
    for key, wanted, given in (
        ("in_channels", asked.in_channels, data.channels),
        ("num_classes", asked.num_classes, data.num_classes),
    ):
        if wanted not in (None, given):
            raise SearchError(
                f"baseline.{key}: the data have {given}, got {wanted}; leave it out, and it "
                "follows the data"
            )


def _remove_leftovers(setting: Setting) -> None:
    """Remove checkpoints that nothing will go on from."""
    running = {
        trial.user_attrs["candidate"]["candidate"]
        for trial in ledger.trials(setting.study)
        if trial.state == TrialState.RUNNING
    }
    for path in (setting.folder.path / "checkpoints").iterdir():
        if path.name.partition("-")[0] not in running:
            path.unlink()


def _facts(experiment: Experiment, dataset: Callable[[int], Dataset]) -> dict[str, Any]:
    """What the images are, for the record: each seed draws its own split of them."""
    first = dataset(experiment.seed)
    return {
        "source": experiment.data.source,
        "train": len(first.train),
        "validation": len(first.validation),
        "pixels": first.pixels,
        "channels": first.channels,
        "classes": list(first.class_names),
        "fingerprints": {str(seed): dataset(seed).fingerprint for seed in experiment.seeds},
    }


def _followed(setting: Setting) -> Iterator[Progress]:
    """Advance the search and tell how far it is."""
    began, before = time.monotonic(), len(ledger.records(setting.study))
    done = before
    for done, (trial, seed, epoch) in enumerate(_advance(setting), start=before + 1):
        pace = (time.monotonic() - began) / (done - before)
        states = [other.state for other in ledger.trials(setting.study)]
        yield Progress(
            trial=trial.number,
            seed=seed,
            epoch=epoch,
            epochs_done=done,
            epochs_total=setting.epochs,
            failed=states.count(TrialState.FAIL),
            best=max(ledger.history(setting.study), key=lambda told: told[1], default=None),
            seconds_left=pace * (setting.epochs - done),
        )


def _advance(setting: Setting) -> Iterator[tuple[FrozenTrial, int, Epoch]]:
    """Bring the search to its end: what a dead driver left, then the plan, then proposals."""
    study = setting.study
    for trial in ledger.trials(study):
        if trial.state == TrialState.RUNNING:
            yield from _trained(setting, trial)
    done = {name for trial in ledger.trials(study) for name in ledger.cells_of(trial)}
    for planned in setting.planned:
        if planned.cells[0].name not in done:
            yield from _trained(setting, ledger.enter(study, planned))
    for number in range(setting.experiment.search.asks or 0):
        if f"proposal {number}" not in done:
            proposed = _proposed(setting, number)
            if proposed is None:
                return  # every candidate is trained
            yield from _trained(setting, ledger.enter(study, proposed))


def _proposed(setting: Setting, number: int) -> Planned | None:
    """The sampler's proposal as the nearest candidate that is not yet trained."""
    experiment, study = setting.experiment, setting.study
    past = ledger.history(study)
    shares = proposal(experiment.search.sampler, experiment.seed, number, past)
    asked = shares.coefficients(experiment.budget.factor)
    seen = {trial.user_attrs["candidate"]["candidate"] for trial in ledger.trials(study)}
    candidate = setting.where.candidate(asked, without=seen)
    if candidate is None:
        return None
    return Planned(candidate, (Cell(f"proposal {number}", "searched", asked),))


def _trained(setting: Setting, trial: FrozenTrial) -> Iterator[tuple[FrozenTrial, int, Epoch]]:
    """Train every seed of a trial to the end and complete it."""
    seeds, name = setting.experiment.seeds, trial.user_attrs["candidate"]["candidate"]
    try:
        for seed, epoch in runs(setting, trial):
            yield trial, seed, epoch
    except (TrainingDiverged, OutOfMemory) as error:
        kind = "diverged" if isinstance(error, TrainingDiverged) else "out_of_memory"
        ledger.fail(setting.study, trial, f"{kind}: {error}")
        role = trial.user_attrs["candidate"]["role"]
        warnings.warn(f"{role}: {error}; the search goes on", FailureWarning, stacklevel=2)
    else:
        ledger.close(setting.study, trial.number, seeds)
    _projected(setting)
    for seed in seeds:
        setting.folder.checkpoint(name, seed).unlink(missing_ok=True)


def _projected(setting: Setting) -> pd.DataFrame:
    """The records so far, written beside the study."""
    records = ledger.records(setting.study)
    write_records(setting.folder.records, records)
    if failed := ledger.failures(setting.study):
        write_text(setting.folder.failures, json.dumps(failed, indent=2) + "\n")
    return records
