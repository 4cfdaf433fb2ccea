"""The proxy check of a folder: sentences, tables and document, from its records alone."""

import json

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from scalesearch.config.reading import experiment_from_document, write_experiment
from scalesearch.errors import SearchError
from scalesearch.reporting.proxy_report import proxy_check, write_proxy_check
from scalesearch.results.records import read_records, records_frame, write_records

GRID = [(d / 4, w / 4, (4 - d - w) / 4) for d in range(5) for w in range(5 - d)]


def rows(seed=0, bias=0.1, noise=0.002):
    """A search of 15 candidates, 3 seeds and the epochs 1, 2 and 4; width is favoured early."""
    random = np.random.default_rng(seed)
    for place, (depth, width, resolution) in enumerate(GRID):
        truth = 0.6 - 0.2 * ((depth - 0.3) ** 2 + (width - 0.3) ** 2)
        for run in range(3):
            for epoch, left in ((1, 1.0), (2, 0.0), (4, 0.0)):
                accuracy = truth - 0.1 * left + bias * left * width + random.normal(0, noise)
                yield {
                    "trial": place, "candidate": f"c{place:02}", "role": "searched", "seed": run,
                    "epoch": epoch, "alpha": 1.2, "beta": 1.1, "gamma": 1.15, "depth_share": depth,
                    "width_share": width, "resolution_share": resolution, "resolution": 32,
                    "macs": 10, "params": 20, "activations": 30, "factor": 2.0, "asked_alpha": 1.2,
                    "asked_beta": 1.1, "asked_gamma": 1.15, "deviation": 0.01, "train_loss": 1.0,
                    "loss": 1.0, "accuracy": accuracy, "seconds": 1.0, "images_per_second": 1.0,
                    "device": "cpu", "commit": "", "cell": f"lattice {place}",
                }  # fmt: skip


def search(path, **kind):
    path.mkdir()
    asked = {"name": path.name, "recipe": {"epochs": 4}, "search": {"rungs": [1, 2, 4]}}
    write_experiment(path / "experiment.yaml", experiment_from_document(asked))
    write_records(path / "records.csv", records_frame(rows(**kind)))
    return path


@pytest.fixture
def folder(tmp_path):
    return search(tmp_path / "short")


def test_the_check_names_the_shortest_epoch_and_what_earlier_ones_favour(folder):
    found = proxy_check(folder)
    assert found.rank_correlation.shortest_epoch == 2
    assert found.drift.favoured_early == ("width",)
    assert [best.epoch for best in found.drift.optima] == [1, 2, 4]
    assert found.sentences[:2] == [found.rank_correlation.sentence, found.drift.sentence]


def test_the_document_is_json_with_flat_rows(folder):
    path = write_proxy_check(folder, proxy_check(folder))
    document = json.loads(path.read_text())
    assert (document["schema"], document["version"]) == ("scalesearch/audit", 1)
    assert document["agreement"]["shortest"] == 2
    assert document["drift"]["favoured"] == ["width"]
    for part in (document["agreement"]["pairs"], document["drift"]["gains"]):
        assert all(not isinstance(value, (dict, list)) for row in part for value in row.values())


def test_two_searches_are_compared_by_their_last_rankings(folder, tmp_path):
    other = search(tmp_path / "other", seed=1)
    (pair,) = proxy_check(folder, [other]).other_searches
    assert (pair.other, pair.candidates) == (str(other), 15)
    assert pair.across.low > 0.8


def test_epochs_after_the_last_rung_are_ignored(folder):
    known = read_records(folder / "records.csv")
    later = known[known.epoch == 4].assign(epoch=5, accuracy=0.1)
    both = pd.concat([known, later]).to_dict("records")
    write_records(folder / "records.csv", records_frame(both))
    assert proxy_check(folder).rank_correlation.epochs == (1, 2, 4)


def test_a_folder_without_a_search_is_refused(tmp_path):
    with refused(SearchError):
        proxy_check(tmp_path)


def test_the_command_prints_tables_or_the_document_and_writes_it(folder, run):
    code, out, err = run("check-proxy", folder)
    assert code == 0
    assert "epoch 2 ranks " in out
    assert " candidates like epoch 4 (Spearman's rho" in out
    assert "width is favoured early" in out
    assert "not told apart" in out or "differs" in out or "agrees" in out
    assert f"wrote {folder}/audit.json" in err
    code, out, _ = run("check-proxy", folder, "--json", "--level", "0.2")
    assert json.loads(out) == json.loads((folder / "audit.json").read_text())
    assert json.loads(out)["level"] == 0.2
    code, _, err = run("check-proxy", folder.parent)
    assert (code, "holds no search" in err) == (2, True)
