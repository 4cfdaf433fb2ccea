"""What each candidate is trained with, and what becomes of one that cannot be."""

import json
import sys
from dataclasses import replace

import pytest
from refusals import refused

from scalesearch.config.recipe import Augmentation
from scalesearch.config.search_spec import FailureLimit, FailureSpec, StopSpec
from scalesearch.data.augmentation import pipeline as policies
from scalesearch.errors import DataError, SearchError
from scalesearch.results.records import read_records
from scalesearch.search import driver, worker
from scalesearch.search.design import OffTargetWarning, planned_trials, search_space
from scalesearch.search.driver import run_search
from scalesearch.search.study.storage import open_study
from scalesearch.search.tuner import SearchFailed
from scalesearch.training.loop import OutOfMemory, TrainingDiverged
from scalesearch.training.lr_rules import LearningRateSweep

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
SHORT = {"trials": 3, "references": ["uniform"]}


def with_recipe(experiment, **changes):
    return replace(experiment, recipe=replace(experiment.recipe, **changes))


def with_search(experiment, **changes):
    return replace(experiment, search=replace(experiment.search, **changes))


@pytest.fixture
def errors_to_raise(untrained, monkeypatch):
    """Errors that the first candidate's training meets, one at each attempt."""
    errors, first, train = [], [], worker.train_together

    def train_together(jobs, datasets, *, device):
        first.append(jobs[0].fingerprint)
        if jobs[0].fingerprint == first[0] and errors:
            raise errors.pop(0)
        yield from train(jobs, datasets, device=device)

    monkeypatch.setattr(worker, "train_together", train_together)
    return errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [(TrainingDiverged("loss is nan", ()), "diverged"), (OutOfMemory("too wide"), "out_of_memory")],
)
def test_a_candidate_that_fails_does_not_stop_the_others(
    tiny, tmp_path, errors_to_raise, error, kind
):
    errors_to_raise.extend([error] * 2)  # of both seeds
    with pytest.warns(driver.FailureWarning, match=f"{kind}: {error}; the search goes on"):
        records = run_search(tiny(**SHORT), tmp_path / "r")
    (failure,) = json.loads((tmp_path / "r" / "failures.json").read_text())
    assert (failure["kind"], failure["reason"]) == (kind, str(error))
    assert failure["candidate"] not in set(records["candidate"])
    assert records["candidate"].nunique() == 3
    trials = open_study(tmp_path / "r" / "study.db", "tiny").trials
    (trial,) = [trial for trial in trials if trial.state.name == "FAIL"]
    assert trial.number == failure["trial"]
    assert trial.user_attrs["failure"] == str(error)
    assert trial.user_attrs["failure_kind"] == kind


def test_a_failed_job_is_retried_within_its_limit(tiny, tmp_path, errors_to_raise):
    errors_to_raise.extend([OutOfMemory("others were in the way")] * 2)
    allowed = FailureSpec(out_of_memory=FailureLimit(retries=2))
    assert len(run_search(with_search(tiny(**SHORT), failures=allowed), tmp_path / "r")) == 16
    assert not (tmp_path / "r" / "failures.json").exists()


def test_too_many_failures_of_a_kind_stop_a_search(tiny, tmp_path, untrained, monkeypatch):
    def train_together(jobs, datasets, *, device):
        raise OutOfMemory("too wide")
        yield

    monkeypatch.setattr(worker, "train_together", train_together)
    allowed = FailureSpec(out_of_memory=FailureLimit(candidates=1))
    with pytest.warns(driver.FailureWarning):
        run_search(with_search(tiny(**SHORT), failures=allowed), tmp_path / "r")
    assert len(json.loads((tmp_path / "r" / "failures.json").read_text())) == 2
    progress = json.loads((tmp_path / "r" / "progress.json").read_text())
    assert "2 candidates failed as out_of_memory, and 1 may" in progress["ended"]


def test_a_bug_stops_a_search_with_its_traceback_in_a_file(tiny, tmp_path, errors_to_raise):
    errors_to_raise.append(ZeroDivisionError("ours"))
    with refused(SearchFailed):
        run_search(tiny(**SHORT), tmp_path / "r")
    (traceback_file,) = (tmp_path / "r" / "errors").iterdir()
    assert "Traceback" in traceback_file.read_text()
    errors_to_raise.clear()
    assert len(run_search(tiny(**SHORT), tmp_path / "r")) == 16


def test_unusable_images_stop_a_search(tiny, tmp_path, errors_to_raise):
    errors_to_raise.append(DataError("images: gone"))
    with refused(SearchFailed):
        run_search(tiny(**SHORT), tmp_path / "r")
    errors_to_raise.clear()
    assert len(run_search(tiny(**SHORT), tmp_path / "r")) == 16


def test_a_search_stops_at_a_stopping_criterion(tiny, tmp_path, untrained):
    records = run_search(with_search(tiny(**SHORT), stop=StopSpec(accuracy=0.3)), tmp_path / "r")
    assert len(records) < 16
    progress = json.loads((tmp_path / "r" / "progress.json").read_text())
    assert progress["finished"]
    assert "(search.stop.accuracy)" in progress["ended"]


@pytest.fixture
def observed_runs(monkeypatch):
    """Runs that were to be trained, and were not, with their images."""
    runs_with_images = []

    def train_together(jobs, datasets, *, device):
        runs_with_images.extend(zip(jobs, datasets, strict=True))
        raise OutOfMemory("seen enough")
        yield

    monkeypatch.setattr(worker, "train_together", train_together)
    return runs_with_images


@pytest.mark.filterwarnings("ignore::scalesearch.search.driver.FailureWarning")
def test_candidates_are_paired_by_seed(tiny, tmp_path, observed_runs):
    run_search(tiny(**SHORT), tmp_path / "r")
    fingerprints_of_seed = {}
    for job, dataset in observed_runs:
        fingerprints_of_seed.setdefault(job.seed, set()).add(dataset.fingerprint)
    assert {seed: len(fingerprints) for seed, fingerprints in fingerprints_of_seed.items()} == {
        0: 1,
        1: 1,
    }
    assert len(set.union(*fingerprints_of_seed.values())) == 2


@pytest.mark.filterwarnings("ignore::scalesearch.search.driver.FailureWarning")
def test_all_candidates_use_the_same_evaluation_zoom(tiny, tmp_path, observed_runs):
    experiment = tiny(**{**SHORT, "references": ["resolution", "depth"]})
    larger = replace(experiment, data=replace(experiment.data, pixels=14))
    run_search(larger, tmp_path / "larger")
    assert {job.recipe.evaluation_zoom for job, _ in observed_runs} == {1.14}  # the baseline has 12
    assert any(job.architecture.resolution >= 14 for job, _ in observed_runs)
    observed_runs.clear()
    run_search(experiment, tmp_path / "own")
    assert {job.recipe.evaluation_zoom for job, _ in observed_runs} == {1.0}


@pytest.mark.filterwarnings("ignore::scalesearch.search.driver.FailureWarning")
def test_the_micro_batch_fits_all_planned_networks(tiny, tmp_path, observed_runs, monkeypatch):
    """Cells of a nominal grid may lie between the candidates that the space lists."""
    networks_checked = []
    monkeypatch.setattr(
        worker,
        "fitting_micro_batch",
        lambda networks, *args, **options: networks_checked.extend(networks),
    )
    experiment = tiny(sampler="cartesian", step=0.05, references=[])
    experiment = replace(experiment, budget=replace(experiment.budget, mode="nominal"))
    with pytest.warns(OffTargetWarning):
        run_search(experiment, tmp_path / "r")
    space = search_space(
        experiment.baseline.build_architecture(in_channels=1, num_classes=10), experiment.budget
    )
    planned = {trial.candidate.architecture for trial in planned_trials(experiment.search, space)}
    assert planned - {candidate.architecture for candidate in space.candidates}
    assert planned <= set(networks_checked)


def test_one_micro_batch_is_found_once_and_kept(
    tiny, tmp_path, untrained, killed_after, monkeypatch
):
    network_counts = []

    def fake_micro_batch(networks, recipe, data, *, device, concurrent_runs):
        network_counts.append(len(networks))
        return 15

    monkeypatch.setattr(worker, "fitting_micro_batch", fake_micro_batch)
    with (
        pytest.warns(driver.MicroBatchWarning, match="micro-batches of 15"),
        pytest.raises(killed_after.error),
    ):
        run_search(tiny(**SHORT), tmp_path / "r", on_progress=killed_after(1))
    run_search(tiny(**SHORT), tmp_path / "r")
    assert len(network_counts) == 1
    assert network_counts[0] > 1
    reopened_study = open_study(tmp_path / "r" / "study.db", "tiny")
    assert reopened_study.user_attrs["micro_batch"] == 15
    assert set(read_records(tmp_path / "r" / "records.csv")["micro_batch"]) == {15}


def test_a_tuned_learning_rate_is_swept_once_per_candidate_and_recorded(
    tiny, tmp_path, untrained, killed_after, monkeypatch
):
    swept = []
    monkeypatch.setattr(
        worker,
        "run_lr_sweep",
        lambda job, *args, **options: (
            swept.append(job.fingerprint) or LearningRateSweep({1.0: 1.0}, 0.03, 2.5)
        ),
    )
    experiment = with_recipe(tiny(**SHORT), learning_rate_rule="tuned")
    with pytest.raises(killed_after.error):
        run_search(experiment, tmp_path / "r", on_progress=killed_after(3))
    records = run_search(experiment, tmp_path / "r")
    assert sorted(swept) == sorted(set(records["candidate"]))
    assert records["learning_rate"].unique() == pytest.approx([0.03])
    assert set(records["tuning_seconds"]) == {2.5}


def test_the_depth_rule_gives_deeper_candidates_a_lower_learning_rate(tiny, tmp_path, untrained):
    experiment = tiny(**{**SHORT, "references": ["depth", "width"]})
    records = run_search(with_recipe(experiment, learning_rate_rule="depth"), tmp_path / "r")
    rates = records.groupby("alpha")["learning_rate"].first().sort_index()
    assert rates.iloc[0] > rates.iloc[-1]


def test_a_search_does_not_stop_runs_early(tiny, tmp_path):
    with refused(SearchError):
        run_search(with_recipe(tiny(**SHORT), patience=2), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_loading_images_is_reported_for_every_seed(tiny, tmp_path, untrained, monkeypatch):
    reports = []
    monkeypatch.setattr(worker, "_DATASET_CACHE", {})
    run_search(
        tiny(**SHORT), tmp_path / "r", on_data=lambda loaded, total: reports.append((loaded, total))
    )
    assert len(reports) == 2
    assert all(loaded == total > 0 for loaded, total in reports)


def test_a_policy_without_kornia_is_refused_before_a_folder_is_made(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kornia.augmentation.auto", None)
    policies._load_policy.cache_clear()
    experiment = with_recipe(tiny(**SHORT), augmentation=Augmentation(policy="randaugment"))
    with refused(DataError):
        run_search(experiment, tmp_path / "r")
    assert not (tmp_path / "r").exists()
