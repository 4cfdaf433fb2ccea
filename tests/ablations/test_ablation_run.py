"""Every ablation from its command to its table and figures, on a few digits."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from refusals import refused

from scalesearch.ablations.gradcam_figure import read_gradcam, write_gradcam
from scalesearch.ablations.run import run_ablation, write_ablation_results
from scalesearch.ablations.spec import ablation_names, read_ablation
from scalesearch.errors import SearchError
from scalesearch.results.records import read_records, write_records
from scalesearch.search import worker as advance

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
FEW = ["data.train_samples=60", "data.validation_samples=40", "recipe.epochs=1", "device=cpu"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def trains_nothing(jobs, *_, **__):
    raise AssertionError(f"trained {jobs}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ablation_names())
def test_an_ablation_runs_to_its_table_and_a_second_call_trains_nothing(name, results, monkeypatch):
    ablation = read_ablation(name, "smoke", FEW)
    found = run_ablation(ablation, results / name)
    assert len(found.rows) == sum(
        len(series.factors or _several(series)) for series in ablation.series
    ) * len(ablation.baselines)
    for row in found.rows:
        assert row.seeds == 2
        assert 0 <= row.low <= row.accuracy <= row.high <= 1 or row.low < 0
    written = pd.read_csv(results / name / "table.csv")
    assert list(written["accuracy"]) == [row.accuracy for row in found.rows]
    document = json.loads((results / name / "ablation.json").read_text())
    assert document["schema"] == "scalesearch/ablation"
    assert list(document["searches"]) == list(ablation.baselines)
    assert all(one["data"]["train"] == 60 for one in document["searches"].values())
    assert list((results / name / "figures").glob(f"{name}*.png"))
    before = (results / name / "table.csv").read_bytes()
    monkeypatch.setattr(advance, "train_together", trains_nothing)
    run_ablation(ablation, results / name)
    assert (results / name / "table.csv").read_bytes() == before


def _several(series):
    lists = [v for v in (series.depth, series.width, series.resolution) if isinstance(v, tuple)]
    return lists[0] if lists else (1,)


@pytest.mark.slow
def test_table_7_writes_heatmaps_of_the_same_images_and_removes_checkpoints(results):
    ablation = read_ablation("table7", "smoke", FEW)
    run_ablation(ablation, results / "table7")
    found = read_gradcam(results / "table7" / "maps.npz")
    names = ["base", "depth", "width", "resolution", "compound"]
    assert [panel.series for panel in found.panels] == names
    assert found.images.shape == (2, 1, 12, 12)
    assert len(set(found.labels)) == 2
    assert found.stage == 5  # of 12 pixels: 12, 6, 3, 2, 2, then 1
    for panel in found.panels:
        assert len(panel.heatmaps) == len(panel.predictions) == 2
    assert (results / "table7" / "figures" / "figure7.png").is_file()
    assert not list((results / "table7" / "efficientnet_b0" / "checkpoints").iterdir())


@pytest.mark.slow
def test_heatmaps_of_kept_and_of_retrained_networks_are_equal(results):
    ablation = read_ablation("table7", "smoke", FEW)
    folder = results / "table7"
    run_ablation(ablation, folder)
    kept = read_gradcam(folder / "maps.npz")
    (folder / "maps.npz").write_bytes(b"torn")
    run_ablation(ablation, folder)
    assert not list((folder / "efficientnet_b0" / "checkpoints").iterdir())
    again = read_gradcam(folder / "maps.npz")
    for one, other in zip(kept.panels, again.panels, strict=True):
        assert (one.heatmaps == other.heatmaps).all()


@pytest.mark.slow
def test_heatmaps_of_other_images_are_made_again_without_failed_networks(
    results,
):
    ablation = read_ablation("table7", "smoke", FEW)
    folder = results / "table7"
    found = run_ablation(ablation, folder)
    more = replace(ablation, maps=replace(ablation.maps, images=3))
    write_gradcam(replace(found, ablation=more))
    assert len(read_gradcam(folder / "maps.npz").labels) == 3
    path = folder / "efficientnet_b0" / "records.csv"
    whole = read_records(path)
    failed = found.rows[1].candidate
    try:
        write_records(path, whole[(whole["candidate"] != failed) | (whole["seed"] != 0)])
        write_gradcam(found)
        names = ["base", "width", "resolution", "compound"]
        assert [panel.series for panel in read_gradcam(folder / "maps.npz").panels] == names
        write_records(path, whole[whole["seed"] != 0])
        with refused(SearchError):
            write_gradcam(found)
    finally:
        write_records(path, whole)
        (folder / "maps.npz").unlink()


@pytest.mark.slow
def test_results_come_from_the_records_alone(results, tmp_path):
    ablation = read_ablation("figure3", "smoke", FEW)
    run_ablation(ablation, results / "figure3")
    copy = tmp_path / "efficientnet_b0"
    copy.mkdir()
    for name in ("records.csv", "experiment.yaml", "environment.json"):
        (copy / name).write_bytes((results / "figure3" / "efficientnet_b0" / name).read_bytes())
    write_ablation_results(ablation, tmp_path)
    for name in ("table.csv", "ablation.json", "figures/figure3.png", "figures/figure3.svg"):
        assert (tmp_path / name).read_bytes() == (results / "figure3" / name).read_bytes()
    assert set(read_records(copy / "records.csv")["role"]) >= {"width", "depth", "resolution"}


def test_without_a_name_the_command_lists_the_ablations(run):
    code, out, _ = run("ablate", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)["ablations"]}
    assert set(rows) == set(ablation_names())
    assert rows["table7"]["points"] == 5
    assert rows["table3"]["points"] == 15


def test_a_misspelt_name_gets_a_suggestion(run_refused):
    run_refused("ablate", "tabel7")


@pytest.mark.slow
def test_the_command_prints_the_table_and_the_sentences(run, results):
    settings = [part for setting in FEW for part in ("--set", setting)]
    code, out, err = run(
        "ablate", "table7", "--size", "smoke", "--results", results / "table7", *settings
    )
    assert code == 0, err
    assert "recounted" in out
    assert "81.1%" in out
    assert "compound against the others: ahead in " in out


@pytest.mark.slow
def test_a_dry_run_shows_each_search(run):
    code, out, _ = run("ablate", "table3", "--size", "smoke", "--dry-run", "--json")
    assert code == 0
    found = json.loads(out)["searches"]
    assert list(found) == ["mobilenet_v1", "mobilenet_v2", "resnet50"]
    assert all(len(one["candidates"]) == 5 for one in found.values())
