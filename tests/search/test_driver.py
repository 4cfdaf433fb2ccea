"""Whatever moment a search stops at, it ends as if it had not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scalesearch.data.augment import policies
from scalesearch.errors import ArchitectureError, DataError, SearchError
from scalesearch.experiment import experiment_from, write_experiment
from scalesearch.recipe import Augmentation
from scalesearch.records import KEY, read_records
from scalesearch.search import driver, ledger, proposals, runs, search
from scalesearch.search.plan import StrayWarning, plan, space
from scalesearch.training import OutOfMemory, Sweep, TrainingDiverged

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.architectures.isocost.AxisWarning",
    "ignore::scalesearch.search.plan.StrayWarning",
)
TIMED = ["seconds", "tuning_seconds", "images_per_second", "peak_bytes", "utilisation", "commit"]
SAMPLERS = ["lattice", "cartesian", "tpe", "gp", "sobol", "random"]
SHORT = {"trials": 3, "references": ["uniform"]}


class Killed(BaseException):
    """What no handler of ours may catch."""


def killed_after(epochs):
    """Stop a search when it reports its n-th epoch."""

    def on_epoch(progress):
        nonlocal epochs
        epochs -= 1
        if epochs < 0:
            raise Killed

    return on_epoch


def timeless(records):
    return records.drop(columns=TIMED)


@pytest.fixture(autouse=True)
def models_start_early(monkeypatch):
    monkeypatch.setattr(proposals, "STARTUP", 2)


def test_every_candidate_seed_and_epoch_is_trained_once_and_recorded_once(tiny, tmp_path):
    records = search(tiny(), tmp_path / "r")
    assert not records.duplicated(KEY).any()
    assert (records.groupby(["candidate", "seed"]).size() == 2).all()
    assert (records.groupby("candidate")["seed"].nunique() == 2).all()
    assert set("+".join(records["role"]).split("+")) == {
        "searched", "depth", "width", "resolution", "uniform", "paper",
    }  # fmt: skip
    assert (records["factor"] / 2 - 1).abs().max() <= 0.04
    shares = records[["depth_share", "width_share", "resolution_share"]].sum(axis=1)
    assert np.allclose(shares, 1)
    pd.testing.assert_frame_equal(read_records(tmp_path / "r" / "records.csv"), records)


def test_a_finished_search_trains_nothing_when_started_again(tiny, tmp_path, monkeypatch):
    first = search(tiny(**SHORT), tmp_path / "r")
    monkeypatch.setattr(runs, "train_together", lambda *a, **k: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(search(tiny(**SHORT), tmp_path / "r"), first)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_stopped_again_and_again_ends_like_an_undisturbed_one(tiny, tmp_path, sampler):
    experiment = tiny(**{**SHORT, "sampler": sampler, "step": None})
    undisturbed = search(experiment, tmp_path / "one")
    chance, stops = random.Random(sampler), 0
    while True:
        try:
            resumed = search(
                experiment, tmp_path / "two", on_epoch=killed_after(chance.randint(1, 6))
            )
            break
        except Killed:
            stops += 1
    assert stops >= 1
    pd.testing.assert_frame_equal(timeless(resumed), timeless(undisturbed))


def test_an_epoch_that_was_checkpointed_but_not_recorded_is_not_trained_again(
    tiny, tmp_path, monkeypatch
):
    experiment = tiny(**SHORT)
    undisturbed = search(experiment, tmp_path / "one")
    record, rows = ledger.record, []

    def dies_once(study, trial, row):
        rows.append({"candidate": trial.user_attrs["candidate"]["candidate"], **row})
        if len(rows) == 3:
            raise Killed
        record(study, trial, row)

    monkeypatch.setattr(ledger, "record", dies_once)
    with pytest.raises(Killed):
        search(experiment, tmp_path / "two")
    resumed = search(experiment, tmp_path / "two")
    pd.testing.assert_frame_equal(timeless(resumed), timeless(undisturbed))
    lost = rows[2]
    assert rows[3] == lost  # the very measurement, with the seconds that it took the first time


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["lattice", "tpe"])
def test_a_search_killed_with_sigkill_ends_like_an_undisturbed_one(tiny, tmp_path, sampler):
    experiment = tiny(**{**SHORT, "sampler": sampler, "step": None})
    undisturbed = search(experiment, tmp_path / "one")
    write_experiment(tmp_path / "tiny.yaml", experiment)
    program = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from scalesearch.search import proposals, search; proposals.STARTUP = 2\n"
        "from scalesearch.experiment import read_experiment\n"
        f"search(read_experiment({str(tmp_path / 'tiny.yaml')!r}), {str(tmp_path / 'two')!r})\n"
    )
    chance, kills = random.Random(sampler), 0
    for _ in range(60):
        process = subprocess.Popen([sys.executable, "-c", program], env={**os.environ})
        _wait_for_work(tmp_path / "two" / "study.db", process)
        if kills < 4:
            time.sleep(chance.uniform(0.0, 1.5))
            process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
    assert kills >= 1
    resumed = read_records(tmp_path / "two" / "records.csv")
    assert not resumed.duplicated(KEY).any()
    pd.testing.assert_frame_equal(timeless(resumed), timeless(undisturbed))


def _wait_for_work(study, process):
    while not study.exists() and process.poll() is None:
        time.sleep(0.02)


def test_a_folder_of_another_experiment_is_refused_and_left_as_it_was(tiny, tmp_path):
    search(tiny(**SHORT), tmp_path / "r")
    before = (tmp_path / "r" / "experiment.yaml").read_bytes()
    with pytest.raises(SearchError, match=r"another experiment.*\n  search.seeds: 3 here, 2 there"):
        search(tiny(**SHORT, seeds=3), tmp_path / "r")
    assert (tmp_path / "r" / "experiment.yaml").read_bytes() == before


def test_a_folder_with_other_files_is_refused(tiny, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(SearchError, match="need an empty folder or one of this experiment"):
        search(tiny(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_cannot_be_run_is_refused_before_anything_is_written(tmp_path):
    for change, error in (
        ({"data": {"source": "imagefolder:nowhere"}}, DataError),
        ({"budget": {"factor": 1.0001, "tolerance": 1e-6}}, ArchitectureError),
        ({"device": "cuda:77"}, SearchError),
        ({"device": "meta"}, SearchError),
        ({"baseline": {"num_classes": 5}}, SearchError),
    ):
        with pytest.raises(error):
            search(experiment_from({"name": "x", **change}), tmp_path / "r")
        assert not (tmp_path / "r").exists()


def test_records_without_their_study_are_not_written_over(tiny, tmp_path):
    search(tiny(**SHORT), tmp_path / "r")
    before = (tmp_path / "r" / "records.csv").read_bytes()
    (tmp_path / "r" / "study.db").unlink()
    with pytest.raises(SearchError, match=r"records without their study\.db"):
        search(tiny(**SHORT), tmp_path / "r")
    assert (tmp_path / "r" / "records.csv").read_bytes() == before


def test_a_search_does_not_go_on_with_other_images(tiny, tmp_path, monkeypatch):
    with pytest.raises(Killed):
        search(tiny(**SHORT), tmp_path / "r", on_epoch=killed_after(1))
    load = driver.load

    def changed(spec, seed, **options):
        data = load(spec, seed, **options)
        return replace(data, fingerprint=data.fingerprint[::-1])

    monkeypatch.setattr(driver, "load", changed)
    with pytest.raises(SearchError, match="was begun on other images"):
        search(tiny(**SHORT), tmp_path / "r")


def test_a_kill_while_the_folder_is_made_leaves_one_that_can_be_used(tiny, tmp_path):
    (tmp_path / "r" / "checkpoints").mkdir(parents=True)
    (tmp_path / "r" / ".experiment.yaml.partial").write_text("name: ti")
    assert len(search(tiny(**SHORT), tmp_path / "r"))


def test_checkpoints_of_finished_candidates_are_swept(tiny, tmp_path):
    search(tiny(**SHORT), tmp_path / "r")
    left = tmp_path / "r" / "checkpoints" / "0123456789abcdef-0.pt"
    left.write_bytes(b"")
    search(tiny(**SHORT), tmp_path / "r")
    assert not left.exists()


@pytest.mark.parametrize("path", ["a?b", "a%20b", "file/r"])
def test_a_path_that_cannot_hold_a_search_is_refused(tiny, tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SearchError, match=r"need a path without|cannot be written"):
        search(tiny(**SHORT), tmp_path / path)


def test_a_second_driver_in_the_same_folder_is_refused(tiny, tmp_path):
    def second(progress):
        search(tiny(**SHORT), tmp_path / "r")

    with pytest.raises(SearchError, match="another search is running in this folder"):
        search(tiny(**SHORT), tmp_path / "r", on_epoch=second)


def test_the_images_of_every_seed_are_told_of_as_they_come(tiny, tmp_path):
    told = []
    search(tiny(**SHORT), tmp_path / "r", on_data=lambda done, total: told.append((done, total)))
    assert len(told) == 2
    assert all(done == total > 0 for done, total in told)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrainingDiverged("loss is nan", ()), "diverged: loss is nan"),
        (OutOfMemory("too wide"), "out_of_memory: too wide"),
    ],
)
def test_a_candidate_that_fails_does_not_stop_the_others(
    tiny, tmp_path, monkeypatch, error, reason
):
    train, first = runs.train_together, []

    def failing(jobs, datasets, *, device):
        first.append(jobs[0].fingerprint)
        if jobs[0].fingerprint == first[0]:
            raise error
        yield from train(jobs, datasets, device=device)

    monkeypatch.setattr(runs, "train_together", failing)
    with pytest.warns(driver.FailureWarning, match=f"{error}; the search goes on"):
        records = search(tiny(**SHORT), tmp_path / "r")
    failures = json.loads((tmp_path / "r" / "failures.json").read_text())
    assert [failure["candidate"] for failure in failures] == first[:1]
    assert first[0] not in set(records["candidate"])
    assert records["candidate"].nunique() == 3
    study = ledger.open_study(tmp_path / "r" / "study.db", "tiny")
    assert ledger.trials(study)[0].user_attrs["failure"] == reason


def test_the_study_is_a_normal_one_for_optuna(tiny, tmp_path):
    records = search(tiny(**SHORT), tmp_path / "r")
    study = ledger.open_study(tmp_path / "r" / "study.db", "tiny")
    final = records[records["epoch"] == 2].groupby("trial")["accuracy"].mean()
    for trial in study.trials:
        assert trial.value == pytest.approx(final[trial.number])
        assert set(trial.intermediate_values) == {1, 2}
        assert sum(trial.params.values()) == pytest.approx(1.0)
    assert study.best_value == pytest.approx(final.max())


def test_candidates_are_paired_by_seed(tiny, tmp_path):
    seen = {}

    def watch(jobs, datasets, *, device):
        for job, dataset in zip(jobs, datasets, strict=True):
            seen.setdefault(job.seed, set()).add(dataset.fingerprint)
        return iter(())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "train_together", watch)
        patch.setattr(ledger, "close", lambda *a: None)
        search(tiny(**SHORT), tmp_path / "r")
    assert {seed: len(prints) for seed, prints in seen.items()} == {0: 1, 1: 1}
    assert len(set.union(*seen.values())) == 2


def test_seeds_trained_together_give_the_records_of_seeds_in_turn(tiny, tmp_path):
    in_turn = search(tiny(**SHORT), tmp_path / "turn")
    together = search(tiny(**SHORT, together=True), tmp_path / "together")
    pd.testing.assert_frame_equal(timeless(together), timeless(in_turn))


def test_seeds_trained_together_and_stopped_amid_an_epochs_records_go_on(tiny, tmp_path):
    experiment = tiny(**SHORT, together=True)
    undisturbed = search(experiment, tmp_path / "undisturbed")
    for _ in range(3):
        with pytest.raises(Killed):
            search(experiment, tmp_path / "r", on_epoch=killed_after(1))
    records = search(experiment, tmp_path / "r")
    pd.testing.assert_frame_equal(timeless(records), timeless(undisturbed))


def test_the_micro_batch_is_of_all_that_is_planned(tiny, tmp_path, monkeypatch):
    """Cells of a nominal grid may lie between the candidates that the space lists."""
    asked = []
    monkeypatch.setattr(
        driver, "fitting_micro_batch", lambda networks, *a, **k: asked.extend(networks)
    )
    monkeypatch.setattr(driver, "_advance", lambda setting: iter(()))
    experiment = tiny(sampler="cartesian", step=0.05, references=[])
    experiment = replace(experiment, budget=replace(experiment.budget, mode="nominal"))
    with pytest.warns(StrayWarning):
        search(experiment, tmp_path / "r")
    where = space(experiment.baseline.build(in_channels=1, num_classes=10), experiment.budget)
    planned = {item.candidate.architecture for item in plan(experiment.search, where)}
    assert planned - {candidate.architecture for candidate in where.candidates}
    assert planned <= set(asked)


def test_a_tuned_rate_is_swept_once_for_each_candidate_and_on_record(tiny, tmp_path, monkeypatch):
    swept = []
    monkeypatch.setattr(
        runs,
        "swept",
        lambda job, *a, **k: swept.append(job.fingerprint) or Sweep({1.0: 1.0}, 0.03, 2.5),
    )
    experiment = tiny(**SHORT)
    experiment = replace(experiment, recipe=replace(experiment.recipe, learning_rate_rule="tuned"))
    with pytest.raises(Killed):
        search(experiment, tmp_path / "r", on_epoch=killed_after(1))
    records = search(experiment, tmp_path / "r")
    assert sorted(swept) == sorted(set(records["candidate"]))
    assert records["learning_rate"].unique() == pytest.approx([0.03])
    assert set(records["tuning_seconds"]) == {2.5}


def test_the_depth_rule_gives_deeper_candidates_less(tiny, tmp_path):
    experiment = tiny(**{**SHORT, "references": ["depth", "width"]})
    experiment = replace(experiment, recipe=replace(experiment.recipe, learning_rate_rule="depth"))
    records = search(experiment, tmp_path / "r")
    rates = records.groupby("alpha")["learning_rate"].first().sort_index()
    assert rates.iloc[0] > rates.iloc[-1]


def test_a_search_does_not_stop_runs_early(tiny, tmp_path):
    experiment = tiny(**SHORT)
    experiment = replace(experiment, recipe=replace(experiment.recipe, patience=2))
    with pytest.raises(SearchError, match=r"recipe\.patience: need null in a search"):
        search(experiment, tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_one_micro_batch_is_found_once_and_kept(tiny, tmp_path, monkeypatch):
    asked = []

    def found(networks, recipe, data, *, device, together):
        asked.append(len(networks))
        return 15

    monkeypatch.setattr(driver, "fitting_micro_batch", found)
    with (
        pytest.warns(driver.MicroBatchWarning, match="micro-batches of 15"),
        pytest.raises(Killed),
    ):
        search(tiny(**SHORT), tmp_path / "r", on_epoch=killed_after(1))
    search(tiny(**SHORT), tmp_path / "r")
    assert len(asked) == 1
    assert asked[0] > 1
    study = ledger.open_study(tmp_path / "r" / "study.db", "tiny")
    assert study.user_attrs["micro_batch"] == 15
    assert set(read_records(tmp_path / "r" / "records.csv")["micro_batch"]) == {15}


def test_all_candidates_see_the_images_enlarged_alike(tiny, tmp_path, monkeypatch):
    seen = set()

    def watch(jobs, datasets, *, device):
        seen.update((job.architecture.resolution, job.recipe.evaluation_zoom) for job in jobs)
        return iter(())

    monkeypatch.setattr(runs, "train_together", watch)
    monkeypatch.setattr(ledger, "close", lambda *a: None)
    experiment = tiny(**{**SHORT, "references": ["resolution", "depth"]})
    larger = replace(experiment, data=replace(experiment.data, pixels=14))
    search(larger, tmp_path / "larger")
    assert {zoom for _, zoom in seen} == {1.14}  # the baseline has 12
    assert any(resolution >= 14 for resolution, _ in seen)
    seen.clear()
    search(experiment, tmp_path / "own")
    assert {zoom for _, zoom in seen} == {1.0}


def test_a_policy_without_kornia_is_refused_before_a_folder_is_made(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kornia.augmentation.auto", None)
    policies._made.cache_clear()
    experiment = tiny(**SHORT)
    augmentation = Augmentation(policy="randaugment")
    experiment = replace(experiment, recipe=replace(experiment.recipe, augmentation=augmentation))
    with pytest.raises(DataError, match=r"pip install 'scalesearch\[augment\]'"):
        search(experiment, tmp_path / "r")
    assert not (tmp_path / "r").exists()
