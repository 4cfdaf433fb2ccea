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


def same(one, other):
    """Records that differ at most in the numbers of trials."""
    sides = [table.drop(columns=["trial", "commit"]).sort_values(KEY) for table in (one, other)]
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
    last = undisturbed[(undisturbed["epoch"] == 2) & (undisturbed["role"] == "searched")]
    failing.add(last["candidate"].iloc[0])
    run_search(experiment, tmp_path / "two")
    assert (tmp_path / "two" / "failures.json").exists()
    failing.clear()
    (again,) = retry(tmp_path / "two", kind="out_of_memory")
    assert len(again.rows) == 2  # the first epoch of two seeds
    assert not (tmp_path / "two" / "failures.json").exists()
    assert not read_progress(tmp_path / "two" / "progress.json").finished
    records = run_search(experiment, tmp_path / "two")
    assert not records.duplicated(KEY).any()
    assert set(last["candidate"]) <= set(records.loc[records["epoch"] == 2, "candidate"])


@pytest.mark.filterwarnings("ignore::scalesearch.search.driver.FailureWarning")
def test_retry_reopens_only_matching_failures(tiny, tmp_path, failing):
    undisturbed = run_search(tiny(**SHORT), tmp_path / "one")
    failing.update(undisturbed["candidate"])
    run_search(tiny(**SHORT), tmp_path / "r")
    with refused(SearchError):
        retry(tmp_path / "r", kind="diverged")
    name = undisturbed["candidate"].iloc[0]
    assert [entry.candidate for entry in retry(tmp_path / "r", candidate=name[:5])] == [name]
    failing.clear()
    assert set(run_search(tiny(**SHORT), tmp_path / "r")["candidate"]) == {name}


def test_invalidated_results_are_trained_again(tiny, tmp_path, untrained):
    experiment = tiny(**SHORT)
    undisturbed = run_search(experiment, tmp_path / "r")
    name = undisturbed["candidate"].iloc[-1]
    thrown = invalidate(tmp_path / "r", name[:6], seed=1, from_epoch=2)
    assert thrown[KEY].values.tolist() == [[name, 1, 2]]
    left = read_records(tmp_path / "r" / "records.csv")
    assert len(left) == len(undisturbed) - 1
    assert not read_progress(tmp_path / "r" / "progress.json").finished
    untrained.clear()
    same(run_search(experiment, tmp_path / "r"), undisturbed)
    assert untrained == [(name, 1, 2)]
    invalidate(tmp_path / "r", name)
    kept = pd.read_csv(tmp_path / "r" / "invalidated.csv")
    assert len(kept) == 1 + 4
    same(run_search(experiment, tmp_path / "r"), undisturbed)
    told = open_study(tmp_path / "r" / "study.db", "tiny")
    assert not [trial for trial in told.trials if trial.state.name == "RUNNING"]


def test_results_in_training_cannot_be_invalidated(tiny, tmp_path, untrained):
    undisturbed = run_search(tiny(**SHORT), tmp_path / "r")
    name = undisturbed["candidate"].iloc[-1]
    run = checkpoint_path(tmp_path / "r" / "checkpoints", name, 1)
    with (
        lock_checkpoint(run, lambda: None),
        refused(SearchError),
    ):
        invalidate(tmp_path / "r", name)
    same(read_records(tmp_path / "r" / "records.csv"), undisturbed)


def test_epochs_before_invalidated_ones_are_trained_again_but_recorded_once(tiny, tmp_path):
    """By real training, whose checkpoint was of the last epoch."""
    experiment = tiny(trials=1, references=[], seeds=1)
    undisturbed = run_search(experiment, tmp_path / "r")
    invalidate(tmp_path / "r", undisturbed["candidate"].iloc[0], from_epoch=2)
    again = run_search(experiment, tmp_path / "r")
    assert again["seconds"].iloc[0] == undisturbed["seconds"].iloc[0]
    assert again["seconds"].iloc[1] != undisturbed["seconds"].iloc[1]
    assert again["loss"].tolist() == undisturbed["loss"].tolist()


def test_results_of_an_unfinished_search_can_be_invalidated(
    tiny, tmp_path, untrained, killed_after
):
    undisturbed = run_search(tiny(**SHORT), tmp_path / "one")
    with pytest.raises(killed_after.error):
        run_search(tiny(**SHORT), tmp_path / "r", on_progress=killed_after(2))
    entries = read_trials(open_study(tmp_path / "r" / "study.db", "tiny"))
    running = next(entry for entry in entries if entry.state == "running" and entry.rows)
    invalidate(tmp_path / "r", running.candidate)
    same(run_search(tiny(**SHORT), tmp_path / "r"), undisturbed)
    told = open_study(tmp_path / "r" / "study.db", "tiny")
    assert not [trial for trial in told.trials if trial.state.name == "RUNNING"]


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
    ("begun", "more"),
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
def test_an_extended_search_equals_one_started_that_large(tiny, tmp_path, untrained, begun, more):
    begun = {"references": ["uniform"], **begun}
    first = run_search(tiny(**begun), tmp_path / "r")
    longer = extend(tmp_path / "r", **more)
    assert longer.experiment == tiny(**{**begun, **more})
    assert read_experiment(tmp_path / "r" / "experiment.yaml") == longer.experiment
    done = len(untrained)
    extended = run_search(longer.experiment, tmp_path / "r")
    assert len(untrained) > done
    assert len(set(untrained)) == len(untrained)
    whole = run_search(longer.experiment, tmp_path / "whole")
    # Who had gone beyond a rung goes on in any case, and may be the one too many for another.
    kept = set(first.loc[first["epoch"] > longer.experiment.rungs[0], "candidate"])
    for name in set(whole["candidate"]) - kept:
        sides = [table[table["candidate"] == name] for table in (extended, whole)]
        same(*(side.assign(stopped=side["stopped"].str.partition(":")[0]) for side in sides))
    assert set(map(tuple, whole[KEY].values)) <= set(map(tuple, extended[KEY].values))


def test_a_stopped_trial_continues_if_its_rank_in_the_extended_search_allows_it(
    tiny, tmp_path, untrained, monkeypatch
):
    train, order = advance.train_together, {}

    def the_first_are_the_best(jobs, datasets, *, device):
        for place, epoch in train(jobs, datasets, device=device):
            later = order.setdefault(jobs[place].fingerprint, len(order))
            yield place, replace(epoch, accuracy=0.9 - 0.1 * later)

    monkeypatch.setattr(advance, "train_together", the_first_are_the_best)
    begun = {"references": [], "seeds": 2, **RACED}
    first = run_search(tiny(**begun, trials=3), tmp_path / "r")
    halved = set(first.loc[first["stopped"] != "", "candidate"])
    assert halved
    longer = extend(tmp_path / "r", trials=6)
    assert {entry.candidate for entry in longer.reopened} == halved
    assert longer.added_trials == 3
    records = run_search(longer.experiment, tmp_path / "r")
    assert set(records.loc[records["epoch"] == 2, "candidate"]) & halved


def test_trials_with_unchanged_decisions_are_not_reopened(tiny, tmp_path, untrained):
    begun = {"references": ["uniform"], "seeds": 2, **RACED, "rungs": [1], "trials": 6}
    first = run_search(tiny(**{**begun, "rungs": [1, 2]}), tmp_path / "r")
    halved = set(first.loc[first["stopped"] != "", "candidate"])
    longer = extend(tmp_path / "r", seeds=3)
    assert halved.isdisjoint(entry.candidate for entry in longer.reopened)


def test_an_optimal_design_cannot_be_extended(tiny, tmp_path, untrained):
    run_search(tiny(sampler="optimal", step=None, **SHORT), tmp_path / "r")
    with refused(SearchError):
        extend(tmp_path / "r", trials=5)
    assert extend(tmp_path / "r", seeds=3).experiment.search.sampler == "optimal"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"trials": 3, "seeds": 2},
        {"trials": 2},
        {"seeds": 1},
        {"rungs": [1, 2, 3]},
        {"rungs": [2]},
    ],
)
def test_extend_refuses_less_than_the_search_has(tiny, tmp_path, untrained, more):
    run_search(tiny(**SHORT, **RACED), tmp_path / "r")
    before = (tmp_path / "r" / "experiment.yaml").read_bytes()
    with refused(SearchError):
        extend(tmp_path / "r", **more)
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
    longer = extend(tmp_path / "r", seeds=3)
    assert not (tmp_path / "r" / "study.db").exists()
    records = run_search(longer.experiment, tmp_path / "r", storage=storage)
    assert records["seed"].nunique() == 3
    with refused(SearchError):
        read_search_experiment(tmp_path)


def test_a_committed_search_is_extended_from_its_records_alone(tiny, tmp_path, untrained):
    run_search(tiny(**SHORT), tmp_path / "r")
    (tmp_path / "r" / "study.db").unlink()
    untrained.clear()
    longer = extend(tmp_path / "r", seeds=3)
    records = run_search(longer.experiment, tmp_path / "r")
    assert {seed for _, seed, _ in untrained} == {2}
    same(records, run_search(replace(longer.experiment), tmp_path / "whole"))


def test_a_trial_beyond_a_rung_is_not_stopped_when_better_ones_arrive(
    tiny, tmp_path, untrained, monkeypatch
):
    train, order = advance.train_together, {}

    def the_last_are_the_best(jobs, datasets, *, device):
        for place, epoch in train(jobs, datasets, device=device):
            later = order.setdefault(jobs[place].fingerprint, len(order))
            yield place, replace(epoch, accuracy=0.1 + 0.1 * later)

    monkeypatch.setattr(advance, "train_together", the_last_are_the_best)
    begun = {"references": [], "seeds": 2, **RACED}
    first = run_search(tiny(**begun, trials=2), tmp_path / "r")
    longer = extend(tmp_path / "r", trials=6, seeds=3)
    records = run_search(longer.experiment, tmp_path / "r")
    went_on = set(first.loc[first["epoch"] == 2, "candidate"])
    (reason,) = set(records.loc[records["candidate"].isin(went_on), "stopped"])
    assert not reason.startswith("halved")
    halved = records[records["stopped"].str.startswith("halved")]
    assert halved["candidate"].nunique() == 6 - 3 - 1  # three go on by their places
