"""Recorded runs in place of training: nothing else is shown, and nothing else is proposed."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from refusals import refused

from scalesearch.cli import main
from scalesearch.config.reading import experiment_from_document
from scalesearch.errors import SearchError
from scalesearch.io import to_document
from scalesearch.simulation.recorded_runs import load_replay, replay_from_table
from scalesearch.simulation.simulated_search import make_ground_truth, simulate_search
from scalesearch.simulation.surfaces import SURFACES

RESULTS = Path(__file__).parents[2] / "results"
WHOLE = {"pruner": "none", "race": None}
SHOWN = ["candidate", "epoch", "loss", "train_loss", "accuracy", "top5", "seconds"]


@pytest.fixture(scope="module")
def records(experiment):
    """Of ten candidates after three epochs of three seeds."""
    spec = experiment(3, sampler="lattice", step=3, **WHOLE)
    table = simulate_search(spec, SURFACES["edge"], 4).records
    return table.assign(train_loss=table["loss"] + 0.25, seconds=3.0 + table["accuracy"])


def ordered(table):
    return table[SHOWN].sort_values(["candidate", "epoch", "accuracy"], ignore_index=True)


@pytest.mark.parametrize("sampler", ["lattice", "optimal", "sobol", "random", "tpe"])
def test_a_search_finds_the_recorded_epochs_of_every_recorded_candidate_and_no_other(
    experiment, records, sampler
):
    step = {"step": 6} if sampler == "lattice" else {"trials": 20}
    spec = experiment(3, sampler=sampler, **step, **WHOLE)
    found = simulate_search(spec, replay_from_table(records, "table"), 3, seed=1).records
    pd.testing.assert_frame_equal(ordered(found), ordered(records), check_exact=True)


def test_the_clock_runs_as_long_as_training_did(experiment, records):
    spec = experiment(3, sampler="lattice", step=3, **WHOLE)
    found = simulate_search(spec, replay_from_table(records, "table"), 1)
    assert found.seconds == pytest.approx(records["seconds"].sum())


def test_seeds_are_mapped_differently_in_another_world(experiment, records):
    spec = experiment(3, sampler="lattice", step=3, seeds=1, **WHOLE)
    ground_truth = make_ground_truth(spec, replay_from_table(records, "table"))
    worlds = [simulate_search(spec, ground_truth, 2, seed=world).records for world in range(3)]
    three = pd.concat(worlds)
    pd.testing.assert_frame_equal(ordered(three), ordered(records), check_exact=True)


def test_regret_is_that_of_the_recorded_means(experiment, records):
    ground_truth = make_ground_truth(
        experiment(3, sampler="random"), replay_from_table(records, "table")
    )
    means = records[records["epoch"] == 3].groupby("candidate")["accuracy"].mean()
    assert ground_truth.true_accuracies == pytest.approx(means.to_dict())
    assert ground_truth.best_candidate == means.idxmax()


def test_runs_that_were_stopped_are_not_proposed(experiment, records):
    halved = records["candidate"] == records["candidate"].iloc[0]
    less = records[~(halved & (records["seed"] == 2) & (records["epoch"] == 3))]
    recorded, spec = (
        replay_from_table(less, "table"),
        experiment(3, sampler="random", trials=20, **WHOLE),
    )
    assert len(simulate_search(spec, recorded, 3).trials) == 9
    two = replace(spec, search=replace(spec.search, seeds=2))
    assert len(simulate_search(two, recorded, 3).trials) == 10


def test_networks_of_a_nominal_budget_are_the_recorded_ones(experiment):
    document = to_document(experiment(2, sampler="random", trials=4, **WHOLE))
    document["budget"] |= {"mode": "nominal", "rounding": "official"}
    spec = experiment_from_document(document)
    records = simulate_search(spec, SURFACES["edge"], 4).records
    more = replace(spec, seed=5, search=replace(spec.search, trials=9))
    found = simulate_search(more, replay_from_table(records, "table"), 4).records
    assert set(found["candidate"]) == set(records["candidate"])


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": 4},
        {"epochs": 9},
    ],
)
def test_more_seeds_or_epochs_than_recorded_are_refused(experiment, records, changes):
    spec = experiment(**{"epochs": 3, **WHOLE, **changes})
    with refused(SearchError):
        make_ground_truth(spec, replay_from_table(records, "table"))


def test_a_second_setting_with_more_seeds_than_recorded_is_refused(experiment, records):
    ground_truth = make_ground_truth(experiment(3, **WHOLE), replay_from_table(records, "table"))
    with refused(SearchError):
        simulate_search(experiment(3, seeds=4, **WHOLE), ground_truth, 2)


def test_records_of_another_baseline_are_refused(experiment, records):
    document = to_document(experiment(3, **WHOLE))
    document["baseline"]["depth"] = 0.5
    with refused(SearchError):
        make_ground_truth(experiment_from_document(document), replay_from_table(records, "table"))


def test_a_search_of_the_scaling_table_is_found_by_its_name_and_by_its_folder():
    named, read = load_replay("cifar10-bayes"), load_replay(RESULTS / "cifar10-bayes")
    assert named.seeds == read.seeds == (0, 1)
    for candidate, own in read.runs.items():
        mine = [row["accuracy"] for row in named.runs[candidate][1]]
        assert mine == pytest.approx([row["accuracy"] for row in own[1]], abs=1e-6)


def test_a_table_that_is_none_is_refused_with_the_names_there_are():
    with pytest.raises(SearchError, match=r"or one of cifar10-bayes, .* got cifar11"):
        load_replay("cifar11")


def test_the_command_replays_a_table(experiment, tmp_path, capsys):
    file = tmp_path / "small.yaml"
    spec = experiment(3, sampler="random", trials=4, seeds=2, **WHOLE)
    file.write_text(yaml.safe_dump(to_document(spec)), encoding="utf-8")
    asked = ["simulate", str(file), "--table", "cifar10-lattice", "--seeds", "2"]
    with pytest.raises(SystemExit) as stopped:
        main([*asked, "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert stopped.value.code == 0
    assert [row["surface"] for row in rows] == ["cifar10-lattice"] * 2
    assert rows[1]["share"] == pytest.approx(4 / 17)
    with pytest.raises(SystemExit) as stopped:
        main([*asked, "--surface", "flat"])
    assert stopped.value.code == 2
    assert "--surface: need none beside --table" in capsys.readouterr().err
