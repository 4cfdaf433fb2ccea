"""A search's best trained again: longer, and by other learning rates; resumable, and told of."""

import json
import shutil

import pytest
from refusals import refused

from scalesearch.config.reading import experiment_from_document, read_experiment, write_experiment
from scalesearch.errors import SearchError
from scalesearch.io import to_document
from scalesearch.reporting import update as results
from scalesearch.reporting.confirmation_report import confirmation_of_folder
from scalesearch.reporting.folder_conclusion import conclusion_of_folder
from scalesearch.reporting.proxy_report import proxy_check
from scalesearch.reporting.update import write_results
from scalesearch.results.records import read_records, write_records
from scalesearch.search.confirmation import (
    confirmation_experiment,
    learning_rate_experiments,
    learning_rate_rule_experiments,
    selected_points,
)
from scalesearch.search.driver import run_search

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)


CACHED_FOLDERS = []


@pytest.fixture
def finished(tiny, tmp_path, tmp_path_factory, untrained, monkeypatch):
    """A search of tiny networks, with what it is of; of its family, two members do. It is made
    once, and each test has a copy of its folder."""
    monkeypatch.setattr(results, "FAMILY_PHIS", range(2))
    experiment = tiny(step=3, references=["uniform", "depth"])
    if not CACHED_FOLDERS:
        CACHED_FOLDERS.append(tmp_path_factory.mktemp("made") / "r")
        run_search(experiment, CACHED_FOLDERS[0])
    shutil.copytree(CACHED_FOLDERS[0], tmp_path / "r")
    return experiment, read_records(tmp_path / "r" / "records.csv"), tmp_path / "r"


def test_a_confirmation_trains_exactly_the_networks_of_the_best_and_the_references(finished):
    experiment, records, _ = finished
    points = selected_points(experiment, records, 2)
    assert [point.name for point in points[:2]] == ["best 1", "best 2"]
    assert {point.role for point in points} == {"searched", "uniform", "depth"}
    means = records[records.epoch == 2].groupby("candidate")["accuracy"].mean()
    assert points[0].candidate == means.idxmax()
    with_stopped = records.assign(
        stopped=[
            "out of the race" if name == points[0].candidate else "" for name in records.candidate
        ]
    )
    assert selected_points(experiment, with_stopped, 1)[0].candidate == points[1].candidate
    with refused(SearchError):
        selected_points(experiment, records, 0)


def test_a_confirmation_is_longer_and_has_other_seeds_and_its_own_schedule(finished):
    experiment, records, _ = finished
    other = confirmation_experiment(experiment, records, 6, top=2, seeds=3)
    assert other.recipe.epochs == other.rungs[-1] == 6
    assert not set(other.seeds) & set(experiment.seeds)
    assert len(other.seeds) == 3
    assert experiment_from_document(to_document(other)) == other
    with refused(SearchError):
        confirmation_experiment(experiment, records, 2)


def test_learning_rate_experiments_keep_seeds_and_epochs(finished):
    experiment, records, _ = finished
    experiments = learning_rate_experiments(experiment, records)
    assert list(experiments) == ["rate-0.5", "rate-2"]
    rate = experiment.recipe.learning_rate
    assert [rate_experiment.recipe.learning_rate for rate_experiment in experiments.values()] == [
        rate / 2,
        rate * 2,
    ]
    experiments |= learning_rate_rule_experiments(experiment, records)
    assert list(experiments)[2:] == ["rule-depth", "rule-tuned"]
    for rate_experiment in experiments.values():
        assert (rate_experiment.seeds, rate_experiment.rungs[-1]) == (
            experiment.seeds,
            experiment.rungs[-1],
        )


def test_networks_of_nominal_budgets_and_of_points_are_confirmed_exactly(finished):
    experiment, records, _ = finished
    document = to_document(experiment)
    document["budget"]["mode"] = "nominal"
    (best, *_) = selected_points(experiment_from_document(document), records, 1)
    requested = records[
        records.candidate == selected_points(experiment, records, 1)[0].candidate
    ].iloc[0]
    assert best.multipliers == (requested.asked_alpha, requested.asked_beta, requested.asked_gamma)
    listed = confirmation_experiment(experiment, records, 6, top=2)
    cells = {point.candidate: point.name for point in reversed(listed.search.points)}
    selected_records = records[records.candidate.isin(cells)]
    selected_records = selected_records.assign(
        cell=[cells[name] for name in selected_records.candidate]
    )
    selected = selected_points(listed, selected_records.assign(epoch=selected_records.epoch + 4), 1)
    assert selected[0].candidate == best_of(records)


def best_of(records):
    return records[records.epoch == 2].groupby("candidate")["accuracy"].mean().idxmax()


def test_confirm_trains_once_and_is_part_of_the_summary(finished, run, untrained):
    _, records, folder = finished
    code, out, err = run("confirm", folder, "--top", "3", "--epochs", "4", "--seeds", "2")
    assert code == 0, err
    assert "after 4 epochs, with other seeds: accuracy changes by +" in out
    epochs_trained = len(untrained)
    document = json.loads((folder / "confirm.json").read_text())
    summary = json.loads((folder / "answer.json").read_text())
    assert document["search_answer"] == summary["answer"]["candidate"]
    assert {row["candidate"] for row in document["candidates"]} >= {best_of(records)}
    assert any(note.startswith("after 4 epochs") for note in summary["notes"])
    assert "after 4 epochs" in run("summary", folder)[1]
    (confirmation_note,) = (
        note for note in conclusion_of_folder(folder).notes if note.startswith("after 4 epochs")
    )
    assert "the answer here" not in confirmation_note
    went_on = records.assign(  # and has another answer
        accuracy=records.accuracy - 0.5 * (records.candidate == document["search_answer"])
    )
    write_records(folder / "records.csv", went_on)
    conclusion = conclusion_of_folder(folder)
    (confirmation_note,) = (note for note in conclusion.notes if note.startswith("after 4 epochs"))
    nearest = conclusion.nearest_to_optimum.candidate
    assert confirmation_note.endswith(
        f"{nearest}, the network recommended here, was not trained again"
    )
    write_records(folder / "records.csv", records)
    assert document["epochs"] == {"search": 2, "confirmation": 4}
    assert json.loads((folder / "coefficients.json").read_text())["confirmation"] == document
    assert read_records(folder / "confirm" / "records.csv").epoch.max() == 4
    code, out, _ = run("confirm", folder, "--top", "3", "--epochs", "4", "--seeds", "2", "--json")
    assert (json.loads(out), len(untrained)) == (document, epochs_trained)
    code, _, err = run("confirm", folder, "--epochs", "5")
    assert (code, "another experiment" in err) == (2, True)
    confirmation_records = read_records(folder / "confirm" / "records.csv")
    last_row = confirmation_records[
        (confirmation_records.epoch == 4)
        & (confirmation_records.candidate != document["search_answer"])
    ].index[0]
    write_records(folder / "confirm" / "records.csv", confirmation_records.drop(index=last_row))
    assert (
        "with other seeds (not all of it trained): accuracy"
        in confirmation_of_folder(folder).replication.sentence
    )


def test_check_proxy_trains_at_other_rates_and_says_whether_the_best_holds(
    finished, run, untrained
):
    _, _, folder = finished
    code, out, err = run("check-proxy", folder, "--learning-rate", "--top", "3")
    assert code == 0, err
    for label in ("learning rate x0.5", "learning rate x2", "each at its best rate"):
        assert f"{label}: accuracy changes by " in out
    assert read_experiment(folder / "audit" / "rate-2" / "experiment.yaml").recipe
    epochs_trained = len(untrained)
    code, out, _ = run("check-proxy", folder, "--learning-rate", "--top", "3", "--json")
    sensitivity = json.loads(out)["sensitivity"]
    assert len(untrained) == epochs_trained
    assert [row["what"] for row in sensitivity] == [
        "learning rate x0.5", "learning rate x2", "each at its best rate",
    ]  # fmt: skip
    assert all(isinstance(row["holds"], bool) for row in sensitivity)
    rate_experiment_file = folder / "audit" / "rate-0.5" / "experiment.yaml"
    of_before = to_document(read_experiment(rate_experiment_file))  # the search was extended since
    of_before["search"]["rungs"] = [1]
    write_experiment(rate_experiment_file, experiment_from_document(of_before))
    assert [row.description for row in proxy_check(folder).sensitivity] == [
        "learning rate x2", "each at its best rate",
    ]  # fmt: skip


def test_a_confirmation_without_records_is_ignored(finished):
    _, records, folder = finished
    for name in ("audit/rate-2", "confirm"):
        (folder / name).mkdir(parents=True)
        (folder / name / "experiment.yaml").write_text((folder / "experiment.yaml").read_text())
        (folder / name / "records.csv").write_text(records[:0].to_csv(index=False))
    assert proxy_check(folder).sensitivity == ()
    write_results(folder)
    assert "confirmation" not in json.loads((folder / "coefficients.json").read_text())
