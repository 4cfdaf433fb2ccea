"""The conclusions of recorded searches, as text and as a document."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from refusals import refused

from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.config.reading import read_experiment, write_experiment
from scalesearch.errors import SearchError
from scalesearch.io import write_json
from scalesearch.reporting.conclusion_files import conclusion_document
from scalesearch.reporting.folder_conclusion import conclusion_of_folder, conclusion_of_records
from scalesearch.reporting.report_prose import power_sentences
from scalesearch.reporting.terminal.messages import (
    conclusion_text,
    finished_search_text,
    power_lines,
)
from scalesearch.results.records import read_records

RESULTS = Path(__file__).parents[2] / "results"
LATTICE = RESULTS / "cifar10-lattice"


@pytest.fixture(scope="module")
def lattice():
    return conclusion_of_folder(LATTICE)


def test_the_text_has_coefficients_with_intervals_and_every_comparison(lattice):
    text = conclusion_text(lattice)
    lines = text.splitlines()
    assert lines[0] == lattice.sentence
    for name, one in lattice.optimum.coefficient_intervals.items():
        assert f"{name} {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]" in lines[2]
    assert "(90% intervals; 5 of 17 are within noise of the optimum)" in lines[2]
    for one in lattice.comparisons:
        assert f"  {one.words}" in lines
    assert f"recommended             {lattice.recommended.candidate}" in text
    for low, high in lattice.equivalent_coefficients.values():
        assert f"{low:.3f} to {high:.3f}" in text
    assert "noise of a run 2.0 points, from the runs themselves, 32 degrees of freedom" in lines
    for note in lattice.notes:
        assert f"note: {note}" in lines


@pytest.mark.parametrize("name", ["cifar10-lattice", "cifar10-optimal", "clothing-optimal"])
def test_the_network_recommended_by_a_recorded_search_is_about_as_good_as_the_best(name):
    conclusion = conclusion_of_folder(RESULTS / name)
    assert "outside of the optimum's intervals" not in " ".join(conclusion.notes)
    assert conclusion.optimum.p_flat < conclusion.level
    mean, _ = conclusion.response_model.predict([conclusion.recommended.shares.as_tuple()])
    near = 2 * conclusion.optimum.standard_error  # kinds of surfaces differ
    assert conclusion.optimum.accuracy - mean[0] < near


def test_the_final_text_lists_files_and_untrained_references(lattice, tmp_path):
    lines = finished_search_text(lattice, tmp_path, ["depth", "elsewhere"]).splitlines()
    assert lines[:-2] == conclusion_text(lattice).splitlines()
    assert lines[-2] == "  elsewhere  not trained"
    assert lines[-1].startswith(f"{tmp_path}/   answer.json   coefficients.json")


def test_one_seed_and_unequal_costs_are_mentioned():
    conclusion = conclusion_of_folder(RESULTS / "paper-nominal-grid")
    assert (
        "with one seed, noise is estimated from the residuals of the surface alone"
        in conclusion.sentence
    )
    assert "the networks cost 1.40x to 3.10x" in conclusion.sentence
    text = conclusion_text(conclusion)
    assert "noise of a run" not in text
    assert "on the fitted surface" in text


def test_the_document_is_json_with_the_conclusion_s_values(lattice, tmp_path):
    document = conclusion_document(lattice)
    write_json(tmp_path / "answer.json", document, allow_nan=False)
    assert json.loads((tmp_path / "answer.json").read_text()) == json.loads(json.dumps(document))
    assert (document["schema"], document["version"]) == ("scalesearch/answer", 1)
    assert set(document["estimate"]) == {"alpha", "beta", "gamma"}
    assert set(document["shares"]["depth"]) == {"value", "low", "high"}
    assert sum(document["shares"][axis]["value"] for axis in document["shares"]) == pytest.approx(1)
    assert set(document["flat"]) == {"part", "p", "candidates"}
    assert set(document["same_network"]) == {"alpha", "beta", "gamma"}
    assert document["recommended"]["why"] == lattice.reason
    assert set(document["surface"]) == {"kind", "errors", "lack_of_fit"}
    first = document["comparisons"][0]
    assert first["with"] == lattice.comparisons[0].reference
    assert set(first) >= {
        "candidate", "by", "difference", "low", "high", "p", "p_corrected", "seeds",
        "further_seeds", "words",
    }  # fmt: skip


def test_the_latency_model_decides_the_recommendation():
    model = LatencyModel(
        device="cpu", batch_size=1, seconds_per_mac=0.0, seconds_per_activation=1e-9,
        seconds_per_block=1.0, overhead_seconds=0.0,
    )  # fmt: skip
    experiment = read_experiment(LATTICE / "experiment.yaml")
    object.__setattr__(experiment.budget, "latency", model)
    baseline = experiment.baseline.build_architecture(in_channels=3, num_classes=10)
    records = read_records(LATTICE / "records.csv")
    conclusion = conclusion_of_records(records, experiment, baseline)
    flat = set(conclusion.optimum.equivalent_candidates)
    shallow = records[records.candidate.isin(flat)].alpha.min()
    assert conclusion.recommended.multipliers.depth == shallow
    assert conclusion.reason.startswith("with the lowest latency among")


def test_a_search_of_listed_points_has_no_conclusion(tmp_path):
    shutil.copytree(LATTICE, tmp_path / "r", ignore=shutil.ignore_patterns("figures"))
    path = tmp_path / "r" / "experiment.yaml"
    listed = {
        "search.sampler": "points", "search.step": "null", "search.references": "[]",
        "search.pruner": "none", "search.race": "null", "search.rungs": "null",
        "search.points": "[{name: a, depth: 1, width: 1, resolution: 1}]",
    }  # fmt: skip
    write_experiment(path, read_experiment(path, [f"{k}={v}" for k, v in listed.items()]))
    with refused(SearchError):
        conclusion_of_folder(tmp_path / "r")


def test_power_is_shown_with_its_basis(lattice):
    lines = power_lines(lattice.power)
    assert lines[0].startswith("noise of a run 2.0 points, from the runs themselves")
    assert "3 seeds show differences of" in lines[1]
    assert "seeds that would show" in lines[2]
    assert len(lines) == 3


def test_records_without_the_last_rung_are_refused(tmp_path):
    shutil.copytree(LATTICE, tmp_path / "r", ignore=shutil.ignore_patterns("figures"))
    records = pd.read_csv(tmp_path / "r" / "records.csv", dtype=str, keep_default_na=False)
    records[records.epoch == "1"].to_csv(tmp_path / "r" / "records.csv", index=False)
    with refused(SearchError):
        conclusion_of_folder(tmp_path / "r")


def test_power_without_references_and_with_too_many_seeds(lattice):
    alone = replace(lattice.power, comparisons=0, needed=((0.005, 1000), (0.01, 72)))
    first, second, last = power_sentences(SimpleNamespace(conclusion=replace(lattice, power=alone)))
    assert first.startswith("The noise of a run")
    assert second.endswith("two networks chosen beforehand (at the level 0.1).")
    assert last.endswith("1,000 or more for 0.5 points, 72 for 1 points.")
    one = replace(alone, seeds=1, two=None, references=None)
    assert "  1 seed does not show the noise, so no two networks" in "\n".join(power_lines(one))
