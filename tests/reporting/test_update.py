"""Results are made from the records alone, also in a copy of the folder."""

import json
import random
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from refusals import refused

from scalesearch.config.reading import experiment_from_document, read_experiment, write_experiment
from scalesearch.errors import SearchError
from scalesearch.reporting import update as results
from scalesearch.reporting.status import search_status
from scalesearch.reporting.update import write_results
from scalesearch.results.records import read_records, records_frame, write_records

ENVIRONMENT = {
    "device": "cpu", "commit": "abc", "packages": {},
    "data": {"source": "digits", "channels": 1, "classes": [str(i) for i in range(10)]},
}  # fmt: skip


def row(candidate, seed, accuracy, shares):
    depth, width, resolution = shares
    return {
        "trial": 0, "candidate": candidate, "role": "searched", "seed": seed, "epoch": 1,
        "alpha": 1.2, "beta": 1.1, "gamma": 1.15, "depth_share": depth, "width_share": width,
        "resolution_share": resolution, "resolution": 32, "macs": 10, "params": 20,
        "activations": 30, "factor": 2.0, "asked_alpha": 1.2, "asked_beta": 1.1,
        "asked_gamma": 1.15, "deviation": 0.01, "train_loss": 1.0, "loss": 1.0,
        "accuracy": accuracy, "seconds": 1.0, "images_per_second": 1.0, "device": "cpu",
        "commit": "",
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    experiment = experiment_from_document(
        {
            "name": "x",
            "baseline": {"width": 0.25, "resolution": 32, "stem_stride": 1},
            "recipe": {"epochs": 1},
            "search": {"seeds": 2},
        }
    )
    write_experiment(tmp_path / "a" / "experiment.yaml", experiment)
    (tmp_path / "a" / "environment.json").write_text(json.dumps(ENVIRONMENT))
    rows = [
        row(name, seed, accuracy + seed / 100, shares)
        for name, accuracy, shares in (
            ("aa", 0.6, (0.2, 0.4, 0.4)), ("bb", 0.7, (0.6, 0.2, 0.2)), ("cc", 0.5, (0.0, 1.0, 0.0))
        )
        for seed in (0, 1)
    ]  # fmt: skip
    write_records(tmp_path / "a" / "records.csv", records_frame(rows))
    return tmp_path / "a"


@pytest.mark.slow
def test_a_moved_copy_without_its_study_gives_the_same_results(folder, tmp_path):
    found = write_results(folder)
    assert found.best.candidate == "bb"
    shutil.copytree(folder, tmp_path / "b")
    assert write_results(tmp_path / "b") == found
    for name in ("coefficients.json", "family.json", "figures/simplex.svg", "figures/simplex.png"):
        assert (tmp_path / "b" / name).read_bytes() == (folder / name).read_bytes()


def test_status_counts_the_records(folder):
    now = search_status(folder)
    assert (now.name, now.epochs, now.seconds) == ("x", 6, 6.0)
    assert [result.candidate for result in now.results] == ["bb", "aa", "cc"]


def test_results_are_of_candidates_at_the_last_rung(folder, monkeypatch):
    """The recipe goes on to epoch 3, the search ends at 1, and the highest accuracy was halved."""
    experiment = read_experiment(folder / "experiment.yaml", ["recipe.epochs=3"])
    experiment = replace(experiment, search=replace(experiment.search, rungs=(1, 2)))
    write_experiment(folder / "experiment.yaml", experiment)
    records = read_records(folder / "records.csv")
    second = records[records["candidate"] == "aa"].assign(epoch=2, accuracy=0.65)
    halved = records["candidate"] != "aa"
    records.loc[halved, "stopped"] = "halved at epoch 1: place 2 of 3"
    write_records(folder / "records.csv", pd.concat([records, second]))
    monkeypatch.setattr(results, "_family_along", lambda *a: {})
    found = write_results(folder)
    assert (found.best.candidate, found.epoch, found.candidates) == ("aa", 2, 1)
    assert {one.candidate for one in found.stopped} == {"bb", "cc"}


def test_the_timeline_of_workers_is_drawn_from_the_log(folder, monkeypatch):
    monkeypatch.setattr(results, "_family_along", lambda *a: {})
    write_results(folder)
    assert not (folder / "figures" / "workers.png").exists()
    log = "job,candidate,seeds,start,stop,attempt,worker,began,ended,failure\n"
    (folder / "jobs.csv").write_text(log + "aa seed 0 epoch 1,aa,0,0,1,0,here:1,10.0,12.0,\n")
    write_results(folder)
    assert (folder / "figures" / "workers.png").exists()
    (folder / "jobs.csv").write_text("torn")
    with pytest.warns(UserWarning, match=r"jobs\.csv: cannot be read"):
        write_results(folder)


@pytest.mark.parametrize("missing", ["records.csv", "environment.json"])
def test_a_folder_that_lacks_a_file_is_refused_by_the_files_name(folder, missing):
    (folder / missing).unlink()
    with refused(SearchError):
        write_results(folder)


def test_the_exported_coefficients_are_the_optimum_of_the_surface(folder, monkeypatch):
    """The top of the surface lies near the middle, and the highest mean is luck at a corner."""
    monkeypatch.setattr(results, "_family_along", lambda *a: {})
    places = [(d / 4, w / 4, (4 - d - w) / 4) for d in range(5) for w in range(5 - d)]
    rows = []
    for number, shares in enumerate(places):
        away = sum((share - 1 / 3) ** 2 for share in shares)
        lucky = 0.12 if shares == (1.0, 0.0, 0.0) else 0.0
        for seed in (0, 1):
            noise = 0.002 * (-1) ** (number + seed)
            rows.append(row(f"c{number:02}", seed, 0.7 - 0.15 * away + lucky + noise, shares))
    write_records(folder / "records.csv", records_frame(rows))
    found = write_results(folder)
    written = json.loads((folder / "coefficients.json").read_text())
    assert found.best.shares.depth == 1.0
    assert written["candidate"] == found.best.candidate
    assert written["by"] == "surface"
    assert written["alpha"] == found.coefficients.alpha < 2**found.best.shares.depth
    assert written["intervals"]["alpha"][0] <= written["alpha"] <= written["intervals"]["alpha"][1]
    assert found.coefficients.factor == pytest.approx(2.0)


def test_without_a_surface_the_coefficients_are_of_the_highest_mean(folder, monkeypatch):
    monkeypatch.setattr(results, "_family_along", lambda *a: {})
    found = write_results(folder)
    written = json.loads((folder / "coefficients.json").read_text())
    assert (written["by"], written["intervals"]) == ("highest mean", None)
    assert written["alpha"] == found.best.shares.coefficients(2.0).alpha


def test_without_significant_differences_the_recommended_network_is_exported(folder, monkeypatch):
    monkeypatch.setattr(results, "_family_along", lambda *a: {})
    chance = random.Random(0)
    places = [(d / 4, w / 4, (4 - d - w) / 4) for d in range(5) for w in range(5 - d)]
    rows = [
        row(f"c{number:02}", seed, 0.7 + chance.gauss(0, 0.01), shares)
        for number, shares in enumerate(places)
        for seed in (0, 1)
    ]
    write_records(folder / "records.csv", records_frame(rows))
    found = write_results(folder)
    written = json.loads((folder / "coefficients.json").read_text())
    told = json.loads((folder / "answer.json").read_text())
    assert told["flat"]["p"] > 0.1
    assert written["by"] == "recommended: nothing is distinguishable"
    shares = told["recommended"]["shares"]
    assert found.coefficients.alpha == pytest.approx(2.0 ** shares["depth"])
    assert written["intervals"]["gamma"][1] > 1.3
