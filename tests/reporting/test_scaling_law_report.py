"""The scaling laws of a folder: printed, written, and checked on held-out networks."""

import json

import numpy as np
import pytest
from refusals import refused

from scalesearch.config.reading import experiment_from_document, write_experiment
from scalesearch.errors import SearchError
from scalesearch.reporting.scaling_law_report import scaling_laws_of_folder
from scalesearch.results.records import records_frame, write_records

COSTS = (1.0, 1.5, 2.2, 3.3, 5.0, 7.5)
LISTED = {"sampler": "points", "references": [], "pruner": "none", "race": None}


def rows(scales=(0.1, 0.2, 0.3), noise=0.002):
    random = np.random.default_rng(0)
    for axis, scale in enumerate(scales):
        for place, cost in enumerate(COSTS):
            if place == 0 and axis > 0:
                continue
            shares = np.eye(3)[axis] if place else np.full(3, 1 / 3)
            for run in range(3):
                yield {
                    "trial": 10 * axis + place, "candidate": f"{axis}{place}", "role": "searched",
                    "seed": run, "epoch": 4, "alpha": 1.2, "beta": 1.1, "gamma": 1.15,
                    "depth_share": shares[0], "width_share": shares[1],
                    "resolution_share": shares[2], "resolution": 32, "macs": round(1000 * cost),
                    "params": 20, "activations": 30, "factor": cost, "asked_alpha": 1.2,
                    "asked_beta": 1.1, "asked_gamma": 1.15, "deviation": 0.01, "train_loss": 1.0,
                    "loss": 1.0, "accuracy": 0.5 + scale * (1 - cost**-0.5)
                    + random.normal(0, noise), "seconds": 1.0, "images_per_second": 1.0,
                    "device": "cpu", "commit": "", "cell": f"{axis}-{place}",
                }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    points = [{"name": "base"}]
    asked = {"name": "star", "recipe": {"epochs": 4}, "search": {**LISTED, "points": points}}
    write_experiment(tmp_path / "experiment.yaml", experiment_from_document(asked))
    write_records(tmp_path / "records.csv", records_frame(rows()))
    return tmp_path


def test_the_laws_of_three_axes_give_predictions_and_shares(folder):
    found = scaling_laws_of_folder(folder, phis=(1, 4), hold_out=7.0)
    assert list(found.laws) == ["depth", "width", "resolution"]
    (far,) = [row for row in found.predictions if (row["direction"], row["phi"]) == ("depth", 4)]
    assert far["accuracy_low"] < 0.5 + 0.1 * 0.75 < far["accuracy_high"]
    assert far["factor"] == 16
    assert found.shares.shares.resolution > 0.8  # steepest, as far as twice the cost goes
    shares = scaling_laws_of_folder(folder, factor=30).shares.shares
    assert shares.depth < 0.05 < shares.width < shares.resolution < 0.8
    assert [one.factor for one in found.held_out] == [7.5] * 3
    assert sum(one.is_inside for one in found.held_out) >= 2
    assert any("if what the axes gain adds up" in sentence for sentence in found.sentences)


def test_the_command_prints_and_writes_them(folder, run):
    code, out, err = run("scaling-law", folder, "--phi", "1,3", "--hold-out", "7")
    assert code == 0, err
    assert "kept from the fit" in out
    code, out, _ = run("scaling-law", folder, "--phi", "1,3", "--hold-out", "7", "--json")
    document = json.loads(out)
    assert document == json.loads((folder / "laws.json").read_text())
    assert (document["schema"], len(document["predictions"])) == ("scalesearch/laws", 6)
    code, _, err = run("scaling-law", folder, "--phi", "x")
    assert (code, "--phi: need numbers" in err) == (2, True)


def test_networks_of_one_cost_have_no_law(folder):
    equal = [row for row in rows() if row["factor"] == 1.5]
    write_records(folder / "records.csv", records_frame(equal))
    with refused(SearchError):
        scaling_laws_of_folder(folder)
    with refused(SearchError):
        scaling_laws_of_folder(folder / "none")


def test_a_direction_without_gain_has_a_level_law(folder):
    write_records(folder / "records.csv", records_frame(rows(scales=(-0.2, 0.2, 0.2))))
    found = scaling_laws_of_folder(folder)
    assert "depth: accuracy does not rise with cost here" in found.sentences[0]
    assert found.shares.shares.depth == 0
