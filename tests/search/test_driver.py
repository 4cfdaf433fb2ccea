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
from refusals import refused

from scalesearch.config.reading import write_experiment
from scalesearch.errors import SearchError
from scalesearch.results.records import KEY, read_records
from scalesearch.search import samplers as proposals
from scalesearch.search import tuner
from scalesearch.search.driver import run_search
from scalesearch.search.progress import read_progress
from scalesearch.search.study.storage import open_study

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
TIMED = ["seconds", "tuning_seconds", "images_per_second", "peak_bytes", "utilisation", "commit"]
SAMPLERS = ["lattice", "cartesian", "optimal", "tpe", "gp", "sobol", "random"]
SHORT = {"trials": 3, "references": ["uniform"]}
RACED = {"pruner": "halving", "rungs": [1, 2], "eta": 2, "seeds": 3, "race": 2}


def timeless(records):
    return records.drop(columns=TIMED)


@pytest.fixture(autouse=True)
def models_start_early(monkeypatch):
    monkeypatch.setattr(proposals, "STARTUP_TRIALS", 2)


def test_every_candidate_seed_and_epoch_is_trained_once_and_recorded_once(tiny, tmp_path):
    records = run_search(tiny(), tmp_path / "r")
    assert not records.duplicated(KEY).any()
    assert (records.groupby(["candidate", "seed"]).size() == 2).all()
    assert (records.groupby("candidate")["seed"].nunique() == 2).all()
    assert set("+".join(records["role"]).split("+")) == {
        "searched", "depth", "width", "resolution", "uniform", "paper",
    }  # fmt: skip
    assert (records["factor"] / 2 - 1).abs().max() <= 0.04
    assert set(records["stopped"]) == {""}
    shares = records[["depth_share", "width_share", "resolution_share"]].sum(axis=1)
    assert np.allclose(shares, 1)
    pd.testing.assert_frame_equal(read_records(tmp_path / "r" / "records.csv"), records)


def test_the_best_of_each_rung_continue_and_later_seeds_go_to_possible_winners(tiny, tmp_path):
    """By real training: four candidates and a reference, rungs at 1 and 2, a race after 2 seeds."""
    records = run_search(tiny(**RACED, trials=4, references=["uniform"]), tmp_path / "r")
    assert not records.duplicated(KEY).any()
    searched = records[records["role"].str.contains("searched")]
    reached = searched.groupby("candidate")["epoch"].max()
    first = searched[(searched["epoch"] == 1) & (searched["seed"] < 2)]
    order = first.groupby("candidate")["accuracy"].mean().sort_values(ascending=False)
    searched_alone = records[records["role"] == "searched"]
    quota = -(-len(order) // 2)
    halved = set(
        searched_alone.loc[searched_alone["stopped"].str.startswith("halved"), "candidate"]
    )
    assert halved
    assert all(reached[name] == 1 for name in halved)
    assert max(order[name] for name in halved) <= order.iloc[quota - 1]
    uniform = records[records["role"].str.contains("uniform")]
    assert uniform.groupby("seed")["epoch"].max().tolist() == [2, 2, 2]
    seeds = records[records["epoch"] == 2].groupby("candidate")["seed"].nunique()
    out = set(records.loc[records["stopped"].str.startswith("out of the race"), "candidate"])
    assert all(seeds[name] == (2 if name in out else 3) for name in seeds.index)
    assert not list((tmp_path / "r" / "checkpoints").iterdir())


def test_a_finished_search_trains_nothing_when_started_again(tiny, tmp_path, untrained):
    first = run_search(tiny(**SHORT), tmp_path / "r")
    epochs_trained = len(untrained)
    pd.testing.assert_frame_equal(run_search(tiny(**SHORT), tmp_path / "r"), first)
    assert len(untrained) == epochs_trained == len(first)


@pytest.mark.parametrize("pruning", ["whole", "raced"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_stopped_again_and_again_ends_like_an_undisturbed_one(
    tiny, tmp_path, sampler, pruning, untrained, killed_after
):
    settings = {
        "trials": 6,
        "cohort": 2,
        "references": ["uniform"],
        "sampler": sampler,
        "step": None,
    }
    experiment = tiny(**settings, **(RACED if pruning == "raced" else {}))
    undisturbed = run_search(experiment, tmp_path / "one")
    trained_once = list(untrained)
    untrained.clear()
    chance, stops = random.Random(sampler), 0
    while True:
        try:
            events = killed_after(chance.randint(1, 6))
            resumed = run_search(experiment, tmp_path / "two", on_progress=events)
            break
        except killed_after.error:
            stops += 1
    assert stops >= 1
    pd.testing.assert_frame_equal(timeless(resumed), timeless(undisturbed))
    assert sorted(untrained) == sorted(trained_once)
    assert len(set(trained_once)) == len(trained_once)
    if pruning == "raced":
        assert resumed["stopped"].str.startswith("halved").any()


def test_a_search_for_accuracy_against_a_cost_resumes_too(tiny, tmp_path, untrained, killed_after):
    settings = {"sampler": "nsga2", "against": "params", "step": None, "trials": 6, "cohort": 3}
    experiment = tiny(**settings, references=["uniform"])
    undisturbed = run_search(experiment, tmp_path / "one")
    with pytest.raises(killed_after.error):
        run_search(experiment, tmp_path / "two", on_progress=killed_after(7))
    resumed = run_search(experiment, tmp_path / "two")
    pd.testing.assert_frame_equal(timeless(resumed), timeless(undisturbed))
    reopened_study = open_study(tmp_path / "two" / "study.db", "tiny", ("maximize", "minimize"))
    assert [direction.name for direction in reopened_study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(len(trial.values) == 2 for trial in reopened_study.trials)


def test_epochs_in_a_checkpoint_but_not_recorded_are_not_trained_again(tiny, tmp_path, monkeypatch):
    experiment = tiny(**SHORT)
    undisturbed = run_search(experiment, tmp_path / "one")
    record, recorded = tuner.record_outcome, []

    class Killed(BaseException):
        pass

    def die_once(of, trial, rows, *, attribute_name):
        recorded.append((trial.candidate, list(rows)))
        if len(recorded) == 3:
            raise Killed
        return record(of, trial, rows, attribute_name=attribute_name)

    monkeypatch.setattr(tuner, "record_outcome", die_once)
    with pytest.raises(Killed):
        run_search(experiment, tmp_path / "two")
    resumed = run_search(experiment, tmp_path / "two")
    pd.testing.assert_frame_equal(timeless(resumed), timeless(undisturbed))
    assert (
        recorded[3] == recorded[2]
    )  # the very measurements, with the seconds that they took at first


@pytest.mark.parametrize("sampler", ["lattice", "tpe"])
def test_a_lost_study_is_rebuilt_from_the_records(tiny, tmp_path, sampler, untrained, killed_after):
    experiment = tiny(**{**SHORT, **RACED, "trials": 6, "sampler": sampler, "step": None})
    undisturbed = run_search(experiment, tmp_path / "one")
    with pytest.raises(killed_after.error):
        run_search(experiment, tmp_path / "two", on_progress=killed_after(12))
    (tmp_path / "two" / "study.db").unlink()
    on_record = read_records(tmp_path / "two" / "records.csv")
    finished = on_record.groupby("candidate").filter(lambda rows: rows["stopped"].ne("").all())
    untrained.clear()
    resumed = run_search(experiment, tmp_path / "two")
    assert 0 < len(untrained) <= len(undisturbed) - len(finished)
    # What had not ended began again, under another number.
    sides = [table.drop(columns="trial").sort_values(KEY) for table in (resumed, undisturbed)]
    pd.testing.assert_frame_equal(*(side.reset_index(drop=True) for side in sides))


def test_proposals_of_another_search_are_replayed(tiny, tmp_path, untrained):
    settings = {"sampler": "tpe", "step": None, "trials": 5, "references": ["uniform"]}
    first = run_search(tiny(**settings), tmp_path / "one")
    other_experiment = replace(tiny(**settings), seed=7)
    own_records = run_search(other_experiment, tmp_path / "two")
    replayed = run_search(other_experiment, tmp_path / "three", replay=tmp_path / "one")
    assert list(replayed["candidate"].unique()) == list(first["candidate"].unique())
    assert list(own_records["candidate"].unique()) != list(first["candidate"].unique())


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["lattice", "tpe"])
def test_a_search_killed_with_sigkill_ends_like_an_undisturbed_one(tiny, tmp_path, sampler):
    experiment = tiny(**{**SHORT, "sampler": sampler, "step": None})
    undisturbed = run_search(experiment, tmp_path / "one")
    chance, kills = random.Random(sampler), 0
    for _ in range(60):
        # The first one is met amid its work, however fast it is.
        process = _start_search(experiment, tmp_path, first="" if kills else WAITS_FOR_A_SIGNAL)
        _wait_for(tmp_path / "two" / ("study.db" if kills else "jobs.csv"), process)
        if kills < 4:
            time.sleep(chance.uniform(0.0, 1.5))
            process.send_signal(signal.SIGKILL)
        _, output = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, output
        kills += 1
    assert kills >= 1
    resumed = read_records(tmp_path / "two" / "records.csv")
    assert not resumed.duplicated(KEY).any()
    pd.testing.assert_frame_equal(timeless(resumed), timeless(undisturbed))


def _start_search(experiment, folder, *options, first=""):
    """A search in a process of its own. ``first``: what that does before."""
    write_experiment(folder / "tiny.yaml", experiment)
    program = (
        "import time, warnings; warnings.simplefilter('ignore')\n"
        "from scalesearch.search import samplers as proposals; proposals.STARTUP_TRIALS = 2\n"
        f"{first}\n"
        "from scalesearch.cli import main\n"
        f"main(['search', {str(folder / 'tiny.yaml')!r}, '--results', {str(folder / 'two')!r}, "
        f"*{list(options)!r}])\n"
    )
    command = [sys.executable, "-c", program]
    return subprocess.Popen(
        command, env={**os.environ}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


WAITS_FOR_A_SIGNAL = """
from scalesearch.search.results_writer import ResultsWriter
outcome = ResultsWriter.write_outcome
def waiting(self, *told):
    outcome(self, *told)
    while not self.folder.halt.exists():
        time.sleep(0.02)
ResultsWriter.write_outcome = waiting
"""
"""Before the driver takes a second outcome it has heeded a signal, however late that comes."""

TRAINS_FOR_EVER = """
from scalesearch.search import worker as advance
def for_ever(*runs, **options):
    while True:
        time.sleep(0.02)
        yield from ()
advance.train_together = for_ever
"""


def _wait_for_heartbeat(folder, process):
    """Until a job is under way, and signals are heeded."""
    while not list(folder.glob("*.json")) and process.poll() is None:
        time.sleep(0.02)


def _wait_for(path, process):
    while not path.exists() and process.poll() is None:
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--executor", "local", "--workers", "2")])
def test_one_signal_ends_a_search_in_order_and_it_can_be_resumed(tiny, tmp_path, options):
    experiment = tiny(**SHORT)
    process = _start_search(experiment, tmp_path, *options, first=WAITS_FOR_A_SIGNAL)
    _wait_for(tmp_path / "two" / "jobs.csv", process)
    process.send_signal(signal.SIGINT)
    _, output = process.communicate()
    assert process.returncode == 130
    assert "once more to stop at once" in output
    assert f"`scalesearch resume {tmp_path / 'two'}` continues it" in output
    progress = read_progress(tmp_path / "two" / "progress.json")
    assert not progress.finished
    before = len(read_records(tmp_path / "two" / "records.csv"))
    undisturbed = run_search(experiment, tmp_path / "one")
    assert 0 < before < len(undisturbed)
    resumed = run_search(experiment, tmp_path / "two")
    pd.testing.assert_frame_equal(timeless(resumed), timeless(undisturbed))
    assert read_progress(tmp_path / "two" / "progress.json").finished


@pytest.mark.slow
def test_a_second_signal_ends_a_search_at_once(tiny, tmp_path):
    process = _start_search(tiny(**SHORT), tmp_path, first=TRAINS_FOR_EVER)
    _wait_for_heartbeat(tmp_path / "two" / "news", process)
    process.send_signal(signal.SIGTERM)
    for line in process.stderr:
        if "once more to stop at once" in line:
            process.send_signal(signal.SIGTERM)
    process.stderr.close()
    assert process.wait() == 130
    assert not (tmp_path / "two" / "jobs.csv").exists()


@pytest.mark.slow
def test_two_local_workers_give_the_records_of_one_process(tiny, tmp_path):
    experiment = tiny(**SHORT, **{**RACED, "eta": 3})
    records_of_one = run_search(experiment, tmp_path / "one")
    two = run_search(experiment, tmp_path / "two", executor="local", workers=2)
    pd.testing.assert_frame_equal(timeless(two), timeless(records_of_one))
    jobs = pd.read_csv(tmp_path / "two" / "jobs.csv")
    assert jobs["worker"].nunique() == 2


def test_a_second_driver_in_the_same_folder_is_refused(tiny, tmp_path, untrained):
    def second(progress):
        run_search(tiny(**SHORT), tmp_path / "r")

    with refused(SearchError):
        run_search(tiny(**SHORT), tmp_path / "r", on_progress=second)


def test_seeds_trained_together_give_the_records_of_seeds_in_turn(tiny, tmp_path):
    in_turn = run_search(tiny(**SHORT), tmp_path / "turn")
    together = run_search(tiny(**SHORT, together=True), tmp_path / "together")
    pd.testing.assert_frame_equal(timeless(together), timeless(in_turn))


def test_the_study_is_a_normal_one_for_optuna(tiny, tmp_path, untrained):
    records = run_search(tiny(**SHORT, **RACED), tmp_path / "r")
    reopened_study = open_study(tmp_path / "r" / "study.db", "tiny")
    complete = {trial.number for trial in reopened_study.trials if trial.state.name == "COMPLETE"}
    pruned = {trial.number for trial in reopened_study.trials if trial.state.name == "PRUNED"}
    assert complete
    assert pruned
    reached = records.groupby("trial")["epoch"].max()
    for trial in reopened_study.trials:
        last_rows = records[
            (records["trial"] == trial.number) & (records["epoch"] == reached[trial.number])
        ]
        assert trial.value == pytest.approx(last_rows["accuracy"].mean())
        assert set(trial.intermediate_values) == set(range(1, reached[trial.number] + 1))
        assert sum(trial.params.values()) == pytest.approx(1.0)
    assert reopened_study.best_trial.number in complete


def test_a_search_runs_on_an_executor_of_the_user(tiny, tmp_path, untrained):
    from concurrent.futures import ThreadPoolExecutor

    records_inline = run_search(tiny(**SHORT, **RACED), tmp_path / "one")
    with ThreadPoolExecutor(3) as executor:
        records_of_executor = run_search(
            tiny(**SHORT, **RACED), tmp_path / "two", executor=executor
        )
    pd.testing.assert_frame_equal(timeless(records_of_executor), timeless(records_inline))


def test_an_outcome_that_comes_twice_counts_once(tiny, tmp_path, untrained, monkeypatch):
    from scalesearch.search.pools.opening import InlinePool

    collect = InlinePool.collect
    monkeypatch.setattr(
        InlinePool,
        "collect",
        lambda self, timeout: [*(outcomes := collect(self, timeout)), *outcomes],
    )
    records = run_search(tiny(**SHORT), tmp_path / "r")
    assert not records.duplicated(KEY).any()
    assert len(records) == 16


def test_progress_reports_finished_and_remaining_work(tiny, tmp_path, untrained, killed_after):
    reports = []
    run_search(tiny(**SHORT, **RACED), tmp_path / "r", on_progress=reports.append)
    last_report = reports[-1]
    assert last_report.finished
    assert last_report.epochs_done == last_report.epochs_total == len(untrained)
    assert last_report == read_progress(tmp_path / "r" / "progress.json")
    with pytest.raises(killed_after.error):
        run_search(tiny(**SHORT), tmp_path / "s", on_progress=killed_after(2))
    assert not json.loads((tmp_path / "s" / "progress.json").read_text())["finished"]
