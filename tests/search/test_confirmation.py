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


MADE = []


@pytest.fixture
def finished(tiny, tmp_path, tmp_path_factory, untrained, monkeypatch):
    """A search of tiny networks, with what it is of; of its family, two members do. It is made
    once, and each test has a copy of its folder."""
    monkeypatch.setattr(results, "FAMILY_PHIS", range(2))
    experiment = tiny(step=3, references=["uniform", "depth"])
    if not MADE:
        MADE.append(tmp_path_factory.mktemp("made") / "r")
        run_search(experiment, MADE[0])
    shutil.copytree(MADE[0], tmp_path / "r")
    return experiment, read_records(tmp_path / "r" / "records.csv"), tmp_path / "r"


def test_a_confirmation_trains_exactly_the_networks_of_the_best_and_the_references(finished):
    experiment, records, _ = finished
    points = selected_points(experiment, records, 2)
    assert [point.name for point in points[:2]] == ["best 1", "best 2"]
    assert {point.role for point in points} == {"searched", "uniform", "depth"}
    means = records[records.epoch == 2].groupby("candidate")["accuracy"].mean()
    assert points[0].candidate == means.idxmax()
    stopped = records.assign(
        stopped=[
            "out of the race" if name == points[0].candidate else "" for name in records.candidate
        ]
    )
    assert selected_points(experiment, stopped, 1)[0].candidate == points[1].candidate
    with refused(SearchError):
        selected_points(experiment, records, 0)


def test_a_confirmation_is_longer_and_has_other_seeds_and_its_own_schedule(finished):
    experiment, records, _ = finished
    again = confirmation_experiment(experiment, records, 6, top=2, seeds=3)
    assert again.recipe.epochs == again.rungs[-1] == 6
    assert not set(again.seeds) & set(experiment.seeds)
    assert len(again.seeds) == 3
    assert experiment_from_document(to_document(again)) == again
    with refused(SearchError):
        confirmation_experiment(experiment, records, 2)


def test_learning_rate_experiments_keep_seeds_and_epochs(finished):
    experiment, records, _ = finished
    found = learning_rate_experiments(experiment, records)
    assert list(found) == ["rate-0.5", "rate-2"]
    rate = experiment.recipe.learning_rate
    assert [one.recipe.learning_rate for one in found.values()] == [rate / 2, rate * 2]
    found |= learning_rate_rule_experiments(experiment, records)
    assert list(found)[2:] == ["rule-depth", "rule-tuned"]
    for one in found.values():
        assert (one.seeds, one.rungs[-1]) == (experiment.seeds, experiment.rungs[-1])


def test_networks_of_nominal_budgets_and_of_points_are_confirmed_exactly(finished):
    experiment, records, _ = finished
    document = to_document(experiment)
    document["budget"]["mode"] = "nominal"
    (best, *_) = selected_points(experiment_from_document(document), records, 1)
    asked = records[records.candidate == selected_points(experiment, records, 1)[0].candidate].iloc[
        0
    ]
    assert best.multipliers == (asked.asked_alpha, asked.asked_beta, asked.asked_gamma)
    listed = confirmation_experiment(experiment, records, 6, top=2)
    cells = {point.candidate: point.name for point in reversed(listed.search.points)}
    known = records[records.candidate.isin(cells)]
    known = known.assign(cell=[cells[name] for name in known.candidate])
    again = selected_points(listed, known.assign(epoch=known.epoch + 4), 1)
    assert again[0].candidate == best_of(records)


def best_of(records):
    return records[records.epoch == 2].groupby("candidate")["accuracy"].mean().idxmax()


def test_confirm_trains_once_and_is_part_of_the_summary(finished, run, untrained):
    _, records, folder = finished
    code, out, err = run("confirm", folder, "--top", "3", "--epochs", "4", "--seeds", "2")
    assert code == 0, err
    assert "after 4 epochs, with other seeds: accuracy changes by +" in out
    trained = len(untrained)
    document = json.loads((folder / "confirm.json").read_text())
    answer = json.loads((folder / "answer.json").read_text())
    assert document["search_answer"] == answer["answer"]["candidate"]
    assert {row["candidate"] for row in document["candidates"]} >= {best_of(records)}
    assert any(note.startswith("after 4 epochs") for note in answer["notes"])
    assert "after 4 epochs" in run("summary", folder)[1]
    (said,) = (
        note for note in conclusion_of_folder(folder).notes if note.startswith("after 4 epochs")
    )
    assert "the answer here" not in said
    went_on = records.assign(  # and has another answer
        accuracy=records.accuracy - 0.5 * (records.candidate == document["search_answer"])
    )
    write_records(folder / "records.csv", went_on)
    found = conclusion_of_folder(folder)
    (said,) = (note for note in found.notes if note.startswith("after 4 epochs"))
    nearest = found.nearest_to_optimum.candidate
    assert said.endswith(f"{nearest}, the network recommended here, was not trained again")
    write_records(folder / "records.csv", records)
    assert document["epochs"] == {"search": 2, "confirmation": 4}
    assert json.loads((folder / "coefficients.json").read_text())["confirmation"] == document
    assert read_records(folder / "confirm" / "records.csv").epoch.max() == 4
    code, out, _ = run("confirm", folder, "--top", "3", "--epochs", "4", "--seeds", "2", "--json")
    assert (json.loads(out), len(untrained)) == (document, trained)
    code, _, err = run("confirm", folder, "--epochs", "5")
    assert (code, "another experiment" in err) == (2, True)
    part = read_records(folder / "confirm" / "records.csv")
    last = part[(part.epoch == 4) & (part.candidate != document["search_answer"])].index[0]
    write_records(folder / "confirm" / "records.csv", part.drop(index=last))
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
    for what in ("learning rate x0.5", "learning rate x2", "each at its best rate"):
        assert f"{what}: accuracy changes by " in out
    assert read_experiment(folder / "audit" / "rate-2" / "experiment.yaml").recipe
    trained = len(untrained)
    code, out, _ = run("check-proxy", folder, "--learning-rate", "--top", "3", "--json")
    sensitivity = json.loads(out)["sensitivity"]
    assert len(untrained) == trained
    assert [one["what"] for one in sensitivity] == [
        "learning rate x0.5", "learning rate x2", "each at its best rate",
    ]  # fmt: skip
    assert all(isinstance(one["holds"], bool) for one in sensitivity)
    other = folder / "audit" / "rate-0.5" / "experiment.yaml"
    of_before = to_document(read_experiment(other))  # the search was extended since
    of_before["search"]["rungs"] = [1]
    write_experiment(other, experiment_from_document(of_before))
    assert [one.description for one in proxy_check(folder).sensitivity] == [
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
