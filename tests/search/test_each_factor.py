"""An experiment with several factors is a search for each, and one answer about all."""

import json

import pytest
import yaml

from scalesearch.io import to_document
from scalesearch.reporting import update as results

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)


@pytest.fixture
def experiment_file(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(results, "FAMILY_PHIS", range(2))
    document = to_document(tiny(step=3, references=["uniform"]))
    document["budget"]["factor"] = [1.5, 2]
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_each_factor_has_its_own_search_that_is_not_trained_again(
    experiment_file, tmp_path, run, untrained
):
    code, out, err = run("search", experiment_file, "--results", tmp_path / "r")
    assert code == 0, err
    assert "alpha" in out
    assert "phi" in out.splitlines()[-1] or "too few" in out or "factors" in out
    for name in ("factor-1.5", "factor-2"):
        assert (tmp_path / "r" / name / "coefficients.json").is_file()
    document = json.loads((tmp_path / "r" / "factors.json").read_text())
    assert document["searches"] == ["tiny-factor-1.5", "tiny-factor-2"]
    assert document["schema"] == "scalesearch/factors"
    epochs = len(untrained)
    code, out, _ = run("search", experiment_file, "--results", tmp_path / "r", "--json")
    assert (code, len(untrained)) == (0, epochs)
    summaries = json.loads(out)["answers"]
    assert [summary["factor"] for summary in summaries] == [1.5, 2.0]


@pytest.mark.slow
def test_a_dry_run_reports_each_factor(experiment_file, run):
    code, out, _ = run("search", experiment_file, "--dry-run")
    assert code == 0
    assert "1.5x the baseline, into results/tiny/factor-1.5" in out
    assert "2x the baseline, into results/tiny/factor-2" in out
    assert out.count("epochs at most") == 2
