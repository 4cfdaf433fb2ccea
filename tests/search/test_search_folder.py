"""Whose a folder is, and what is refused before anything is trained or written."""

import json
from dataclasses import replace

import pytest
from refusals import refused

from scalesearch.config.reading import experiment_from_document, read_experiment
from scalesearch.config.search_spec import StopSpec
from scalesearch.errors import ArchitectureError, DataError, SearchError
from scalesearch.locks import lock_folder
from scalesearch.results.search_folder import without_password
from scalesearch.search import worker as advance
from scalesearch.search.driver import run_search

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
SHORT = {"trials": 3, "references": ["uniform"]}


def test_a_folder_of_another_experiment_is_refused_and_left_as_it_was(tiny, tmp_path, untrained):
    run_search(tiny(**SHORT), tmp_path / "r")
    before = (tmp_path / "r" / "experiment.yaml").read_bytes()
    with refused(SearchError):
        run_search(tiny(**SHORT, seeds=3), tmp_path / "r")
    assert (tmp_path / "r" / "experiment.yaml").read_bytes() == before


def test_stopping_criteria_and_failure_limits_may_change(tiny, tmp_path, untrained):
    experiment = tiny(**SHORT)
    limited = replace(experiment, search=replace(experiment.search, stop=StopSpec(epochs=4)))
    first_records = run_search(limited, tmp_path / "r")
    assert 4 <= len(first_records) < 16
    assert len(run_search(experiment, tmp_path / "r")) == 16
    assert read_experiment(tmp_path / "r" / "experiment.yaml") == experiment


def test_a_refused_second_driver_changes_nothing(tiny, tmp_path, untrained):
    experiment = tiny(**SHORT)
    run_search(experiment, tmp_path / "r")
    before = (tmp_path / "r" / "experiment.yaml").read_bytes()
    limited = replace(experiment, search=replace(experiment.search, stop=StopSpec(epochs=4)))
    with lock_folder(tmp_path / "r"), refused(SearchError):
        run_search(limited, tmp_path / "r")
    assert (tmp_path / "r" / "experiment.yaml").read_bytes() == before


def test_a_folder_with_other_files_is_refused(tiny, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with refused(SearchError):
        run_search(tiny(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_impossible_experiment_is_refused_before_anything_is_written(tmp_path):
    for change, error in (
        ({"data": {"source": "imagefolder:nowhere"}}, DataError),
        ({"budget": {"factor": 1.0001, "tolerance": 1e-6}}, ArchitectureError),
        ({"device": "cuda:77"}, SearchError),
        ({"device": "meta"}, SearchError),
        ({"baseline": {"num_classes": 5}}, SearchError),
    ):
        with pytest.raises(error):
            run_search(experiment_from_document({"name": "x", **change}), tmp_path / "r")
        assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"executor": "slurm"},
        {"workers": 2},
        {"executor": "dask"},
        {"scheduler": "tcp://here:1"},
    ],
)
def test_impossible_workers_are_refused_before_anything_is_written(tiny, tmp_path, options):
    with refused(SearchError):
        run_search(tiny(), tmp_path / "r", **options)
    assert not (tmp_path / "r").exists()


def test_a_search_is_not_resumed_with_other_images(
    tiny, tmp_path, untrained, killed_after, monkeypatch
):
    with pytest.raises(killed_after.error):
        run_search(tiny(**SHORT), tmp_path / "r", on_progress=killed_after(1))
    load = advance.load_dataset

    def changed(spec, seed, **options):
        data = load(spec, seed, **options)
        return replace(data, fingerprint=data.fingerprint[::-1])

    monkeypatch.setattr(advance, "load_dataset", changed)
    monkeypatch.setattr(advance, "_DATASET_CACHE", {})
    with refused(SearchError):
        run_search(tiny(**SHORT), tmp_path / "r")


def test_the_images_of_later_seeds_are_recorded_too(tiny, tmp_path, untrained):
    from scalesearch.search.maintenance import extend

    run_search(tiny(**SHORT), tmp_path / "r")
    first = json.loads((tmp_path / "r" / "environment.json").read_text())
    run_search(extend(tmp_path / "r", seeds=3).experiment, tmp_path / "r")
    environment = json.loads((tmp_path / "r" / "environment.json").read_text())
    assert set(environment["data"]["fingerprints"]) == {"0", "1", "2"}
    assert environment["data"]["fingerprints"].items() > first["data"]["fingerprints"].items()
    assert {**environment, "data": None} == {**first, "data": None}


def test_a_study_in_a_database_is_not_started_again_in_the_folder(tiny, tmp_path, untrained):
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    run_search(tiny(**SHORT), tmp_path / "r", storage=shared)
    with refused(SearchError):
        run_search(tiny(**SHORT), tmp_path / "r")
    run_search(tiny(**SHORT), tmp_path / "s")
    with refused(SearchError):
        run_search(tiny(**SHORT), tmp_path / "s", storage=shared)


def test_a_database_password_is_not_stored():
    url = without_password("postgresql+psycopg://me:secret@host/name")
    assert url == "postgresql+psycopg://me@host/name"
    with refused(SearchError):
        without_password("no url")


def test_a_kill_while_the_folder_is_made_leaves_a_usable_folder(tiny, tmp_path, untrained):
    (tmp_path / "r" / "checkpoints").mkdir(parents=True)
    (tmp_path / "r" / "logs").mkdir(parents=True)
    (tmp_path / "r" / ".experiment.yaml.partial").write_text("name: ti")
    assert len(run_search(tiny(**SHORT), tmp_path / "r"))


def test_checkpoints_of_ended_trials_are_removed(tiny, tmp_path, untrained):
    records = run_search(tiny(**SHORT), tmp_path / "r")
    name = records["candidate"].iloc[0]
    leftover = tmp_path / "r" / "checkpoints" / f"{name}-0.pt"  # by a driver that died just then
    leftover.write_bytes(b"")
    run_search(tiny(**SHORT), tmp_path / "r")
    assert not leftover.exists()


@pytest.mark.parametrize("path", ["a?b", "a%20b", "file/r"])
def test_a_path_that_cannot_hold_a_search_is_refused(tiny, tmp_path, path):
    (tmp_path / "file").write_text("")
    with refused(SearchError):
        run_search(tiny(**SHORT), tmp_path / path)
