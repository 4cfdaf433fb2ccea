"""What is done to a search between two drivers, and what the next one makes of it."""

from dataclasses import replace

import pandas as pd
import pytest
from refusals import refused

from scalesearch.config.reading import read_experiment
from scalesearch.errors import SearchError
from scalesearch.locks import lock_checkpoint, lock_folder
from scalesearch.results.records import KEY, read_records
from scalesearch.search import worker as advance
from scalesearch.search.driver import run_search
from scalesearch.search.jobs import checkpoint_path
from scalesearch.search.maintenance import (
    extend,
    invalidate,
    read_search_experiment,
    read_storage_url,
    retry,
)
from scalesearch.search.progress import read_progress
from scalesearch.search.study.search_trial import read_trials
from scalesearch.search.study.storage import open_study
from scalesearch.training.loop import OutOfMemory

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
SHORT = {"trials": 3, "references": ["uniform"]}
RACED = {"pruner": "halving", "rungs": [1, 2], "eta": 2, "race": 2}


def are_equal(first, second):
    """Records that differ at most in the numbers of trials."""
    sides = [table.drop(columns=["trial", "commit"]).sort_values(KEY) for table in (first, second)]
    pd.testing.assert_frame_equal(*(side.reset_index(drop=True) for side in sides))


@pytest.fixture
def failing(untrained, monkeypatch):
    """Candidates that do not fit at first: a set of fingerprints, empty to begin with."""
    broken, train = set(), advance.train_together

    def train_together(jobs, datasets, *, device):
        if jobs[0].fingerprint in broken and jobs[0].stop > 1:
            raise OutOfMemory("too wide")
        yield from train(jobs, datasets, device=device)

    monkeypatch.setattr(advance, "train_together", train_together)
    return broken


@pytest.mark.filterwarnings("ignore::scalesearch.search.driver.FailureWarning")
def test_retry_reopens_a_failed_trial_with_its_records(tiny, tmp_path, failing):
    experiment = tiny(**SHORT, **RACED, seeds=3)
    undisturbed = run_search(experiment, tmp_path / "one")
    last_epochs = undisturbed[(undisturbed["epoch"] == 2) & (undisturbed["role"] == "searched")]
    failing.add(last_epochs["candidate"].iloc[0])
    run_search(experiment, tmp_path / "two")
    assert (tmp_path / "two" / "failures.json").exists()
    failing.clear()
    (reopened,) = retry(tmp_path / "two", kind="out_of_memory")
    assert len(reopened.rows) == 2  # the first epoch of two seeds
    assert not (tmp_path / "two" / "failures.json").exists()
    assert not read_progress(tmp_path / "two" / "progress.json").finished
    records = run_search(experiment, tmp_path / "two")
    assert not records.duplicated(KEY).any()
    assert set(last_epochs["candidate"]) <= set(records.loc[records["epoch"] == 2, "candidate"])


@pytest.mark.filterwarnings("ignore::scalesearch.search.driver.FailureWarning")
def test_retry_reopens_only_matching_failures(tiny, tmp_path, failing):
    undisturbed = run_search(tiny(**SHORT), tmp_path / "one")
    failing.update(undisturbed["candidate"])
    run_search(tiny(**SHORT), tmp_path / "r")
    with refused(SearchError):
        retry(tmp_path / "r", kind="diverged")
    name = undisturbed["candidate"].iloc[0]
    assert [trial.candidate for trial in retry(tmp_path / "r", candidate=name[:5])] == [name]
    failing.clear()
    assert set(run_search(tiny(**SHORT), tmp_path / "r")["candidate"]) == {name}


def test_invalidated_results_are_trained_again(tiny, tmp_path, untrained):
    experiment = tiny(**SHORT)
    undisturbed = run_search(experiment, tmp_path / "r")
    name = undisturbed["candidate"].iloc[-1]
    thrown = invalidate(tmp_path / "r", name[:6], seed=1, from_epoch=2)
    assert thrown[KEY].values.tolist() == [[name, 1, 2]]
    remaining = read_records(tmp_path / "r" / "records.csv")
    assert len(remaining) == len(undisturbed) - 1
    assert not read_progress(tmp_path / "r" / "progress.json").finished
    untrained.clear()
    are_equal(run_search(experiment, tmp_path / "r"), undisturbed)
    assert untrained == [(name, 1, 2)]
    invalidate(tmp_path / "r", name)
    invalidated = pd.read_csv(tmp_path / "r" / "invalidated.csv")
    assert len(invalidated) == 1 + 4
    are_equal(run_search(experiment, tmp_path / "r"), undisturbed)
    reopened_study = open_study(tmp_path / "r" / "study.db", "tiny")
    assert not [trial for trial in reopened_study.trials if trial.state.name == "RUNNING"]


def test_results_in_training_cannot_be_invalidated(tiny, tmp_path, untrained):
    undisturbed = run_search(tiny(**SHORT), tmp_path / "r")
    name = undisturbed["candidate"].iloc[-1]
    run = checkpoint_path(tmp_path / "r" / "checkpoints", name, 1)
    with (
        lock_checkpoint(run, lambda: None),
        refused(SearchError),
    ):
        invalidate(tmp_path / "r", name)
    are_equal(read_records(tmp_path / "r" / "records.csv"), undisturbed)


def test_epochs_before_invalidated_ones_are_trained_again_but_recorded_once(tiny, tmp_path):
    """By real training, whose checkpoint was of the last epoch."""
    experiment = tiny(trials=1, references=[], seeds=1)
    undisturbed = run_search(experiment, tmp_path / "r")
    invalidate(tmp_path / "r", undisturbed["candidate"].iloc[0], from_epoch=2)
    retrained = run_search(experiment, tmp_path / "r")
    assert retrained["seconds"].iloc[0] == undisturbed["seconds"].iloc[0]
    assert retrained["seconds"].iloc[1] != undisturbed["seconds"].iloc[1]
    assert retrained["loss"].tolist() == undisturbed["loss"].tolist()


def test_results_of_an_unfinished_search_can_be_invalidated(
    tiny, tmp_path, untrained, killed_after
):
    undisturbed = run_search(tiny(**SHORT), tmp_path / "one")
    with pytest.raises(killed_after.error):
        run_search(tiny(**SHORT), tmp_path / "r", on_progress=killed_after(2))
    trials = read_trials(open_study(tmp_path / "r" / "study.db", "tiny"))
    running_trial = next(trial for trial in trials if trial.state == "running" and trial.rows)
    invalidate(tmp_path / "r", running_trial.candidate)
    are_equal(run_search(tiny(**SHORT), tmp_path / "r"), undisturbed)
    reopened_study = open_study(tmp_path / "r" / "study.db", "tiny")
    assert not [trial for trial in reopened_study.trials if trial.state.name == "RUNNING"]


@pytest.mark.parametrize(
    "options",
    [
        {"candidate": "zz"},
        {"candidate": ""},
        {"seed": 9},
        {"from_epoch": 3},
    ],
)
def test_results_that_do_not_exist_cannot_be_invalidated(tiny, tmp_path, untrained, options):
    records = run_search(tiny(**SHORT), tmp_path / "r")
    before = (tmp_path / "r" / "records.csv").read_bytes()
    with refused(SearchError):
        invalidate(tmp_path / "r", **{"candidate": records["candidate"].iloc[0], **options})
    assert (tmp_path / "r" / "records.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("first_settings", "added"),
    [
        ({"trials": 3}, {"trials": 6}),
        ({"seeds": 2}, {"seeds": 3}),
        ({"trials": 2, "seeds": 3, **RACED}, {"trials": 6}),
        ({"trials": 6, "seeds": 3, **RACED}, {"seeds": 5}),
        ({"trials": 6, "seeds": 2, **RACED, "race": None}, {"seeds": 4}),
        ({"trials": 6, "rungs": [1], "pruner": "halving", "eta": 2}, {"rungs": [1, 2]}),
        ({"trials": 2, "seeds": 3, **RACED, "rungs": [1]}, {"trials": 6, "rungs": [1, 2]}),
        ({"trials": 4, "sampler": "sobol", "step": None}, {"trials": 7}),
        ({"trials": 6, "cohort": 3, "sampler": "tpe", "step": None, **RACED}, {"seeds": 3}),
        ({"trials": 6, "pruner": "none", "rungs": [1], "references": []}, {"rungs": [2]}),
    ],
)
def test_an_extended_search_equals_one_started_that_large(
    tiny, tmp_path, untrained, first_settings, added
):
    first_settings = {"references": ["uniform"], **first_settings}
    first = run_search(tiny(**first_settings), tmp_path / "r")
    extension = extend(tmp_path / "r", **added)
    assert extension.experiment == tiny(**{**first_settings, **added})
    assert read_experiment(tmp_path / "r" / "experiment.yaml") == extension.experiment
    epochs_trained = len(untrained)
    extended = run_search(extension.experiment, tmp_path / "r")
    assert len(untrained) > epochs_trained
    assert len(set(untrained)) == len(untrained)
    large = run_search(extension.experiment, tmp_path / "whole")
    # Who had gone beyond a rung goes on in any case, and may be the one too many for another.
    beyond_first_rung = set(first.loc[first["epoch"] > extension.experiment.rungs[0], "candidate"])
    for name in set(large["candidate"]) - beyond_first_rung:
        sides = [table[table["candidate"] == name] for table in (extended, large)]
        are_equal(*(side.assign(stopped=side["stopped"].str.partition(":")[0]) for side in sides))
    assert set(map(tuple, large[KEY].values)) <= set(map(tuple, extended[KEY].values))


def test_a_stopped_trial_continues_if_its_rank_in_the_extended_search_allows_it(
    tiny, tmp_path, untrained, monkeypatch
):
    train, order = advance.train_together, {}

    def the_first_are_the_best(jobs, datasets, *, device):
        for index, epoch in train(jobs, datasets, device=device):
            arrival = order.setdefault(jobs[index].fingerprint, len(order))
            yield index, replace(epoch, accuracy=0.9 - 0.1 * arrival)

    monkeypatch.setattr(advance, "train_together", the_first_are_the_best)
    first_settings = {"references": [], "seeds": 2, **RACED}
    first = run_search(tiny(**first_settings, trials=3), tmp_path / "r")
    halved = set(first.loc[first["stopped"] != "", "candidate"])
    assert halved
    extension = extend(tmp_path / "r", trials=6)
    assert {trial.candidate for trial in extension.reopened} == halved
    assert extension.added_trials == 3
    records = run_search(extension.experiment, tmp_path / "r")
    assert set(records.loc[records["epoch"] == 2, "candidate"]) & halved


def test_trials_with_unchanged_decisions_are_not_reopened(tiny, tmp_path, untrained):
    first_settings = {"references": ["uniform"], "seeds": 2, **RACED, "rungs": [1], "trials": 6}
    first = run_search(tiny(**{**first_settings, "rungs": [1, 2]}), tmp_path / "r")
    halved = set(first.loc[first["stopped"] != "", "candidate"])
    extension = extend(tmp_path / "r", seeds=3)
    assert halved.isdisjoint(trial.candidate for trial in extension.reopened)


def test_an_optimal_design_cannot_be_extended(tiny, tmp_path, untrained):
    run_search(tiny(sampler="optimal", step=None, **SHORT), tmp_path / "r")
    with refused(SearchError):
        extend(tmp_path / "r", trials=5)
    assert extend(tmp_path / "r", seeds=3).experiment.search.sampler == "optimal"


@pytest.mark.parametrize(
    "added",
    [
        {},
        {"trials": 3, "seeds": 2},
        {"trials": 2},
        {"seeds": 1},
        {"rungs": [1, 2, 3]},
        {"rungs": [2]},
    ],
)
def test_extend_refuses_less_than_the_search_has(tiny, tmp_path, untrained, added):
    run_search(tiny(**SHORT, **RACED), tmp_path / "r")
    before = (tmp_path / "r" / "experiment.yaml").read_bytes()
    with refused(SearchError):
        extend(tmp_path / "r", **added)
    assert (tmp_path / "r" / "experiment.yaml").read_bytes() == before


def test_a_whole_grid_cannot_be_extended(tiny, tmp_path, untrained):
    run_search(tiny(references=[]), tmp_path / "r")
    with refused(SearchError):
        extend(tmp_path / "r", trials=50)


def test_maintenance_is_refused_while_a_driver_is_running(tiny, tmp_path, untrained):
    records = run_search(tiny(**SHORT), tmp_path / "r")
    with lock_folder(tmp_path / "r"):
        for verb in (
            lambda: retry(tmp_path / "r"),
            lambda: invalidate(tmp_path / "r", records["candidate"].iloc[0]),
            lambda: extend(tmp_path / "r", seeds=5),
        ):
            with refused(SearchError):
                verb()


def test_maintenance_reads_experiment_and_database_from_the_folder(tiny, tmp_path, untrained):
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    run_search(tiny(**SHORT), tmp_path / "r", storage=storage)
    assert read_search_experiment(tmp_path / "r") == tiny(**SHORT)
    assert read_storage_url(tmp_path / "r") == storage
    extension = extend(tmp_path / "r", seeds=3)
    assert not (tmp_path / "r" / "study.db").exists()
    records = run_search(extension.experiment, tmp_path / "r", storage=storage)
    assert records["seed"].nunique() == 3
    with refused(SearchError):
        read_search_experiment(tmp_path)


def test_a_committed_search_is_extended_from_its_records_alone(tiny, tmp_path, untrained):
    run_search(tiny(**SHORT), tmp_path / "r")
    (tmp_path / "r" / "study.db").unlink()
    untrained.clear()
    extension = extend(tmp_path / "r", seeds=3)
    records = run_search(extension.experiment, tmp_path / "r")
    assert {seed for _, seed, _ in untrained} == {2}
    are_equal(records, run_search(replace(extension.experiment), tmp_path / "whole"))


def test_a_trial_beyond_a_rung_is_not_stopped_when_better_ones_arrive(
    tiny, tmp_path, untrained, monkeypatch
):
    train, order = advance.train_together, {}

    def the_last_are_the_best(jobs, datasets, *, device):
        for index, epoch in train(jobs, datasets, device=device):
            arrival = order.setdefault(jobs[index].fingerprint, len(order))
            yield index, replace(epoch, accuracy=0.1 + 0.1 * arrival)

    monkeypatch.setattr(advance, "train_together", the_last_are_the_best)
    first_settings = {"references": [], "seeds": 2, **RACED}
    first = run_search(tiny(**first_settings, trials=2), tmp_path / "r")
    extension = extend(tmp_path / "r", trials=6, seeds=3)
    records = run_search(extension.experiment, tmp_path / "r")
    went_on = set(first.loc[first["epoch"] == 2, "candidate"])
    (reason,) = set(records.loc[records["candidate"].isin(went_on), "stopped"])
    assert not reason.startswith("halved")
    halved = records[records["stopped"].str.startswith("halved")]
    assert halved["candidate"].nunique() == 6 - 3 - 1  # three go on by their places
