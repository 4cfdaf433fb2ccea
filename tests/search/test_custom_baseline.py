"""A search on a baseline of one's own, from a file of stages and from code."""

import json
import shutil
from pathlib import Path

import pytest
from refusals import refused

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import to_json
from scalesearch.architectures.stages import Stage
from scalesearch.config.experiment import BaselineSpec, named_baseline
from scalesearch.config.reading import experiment_from_document
from scalesearch.errors import ArchitectureError, ExperimentError, ScaleSearchError
from scalesearch.families.members import family_document
from scalesearch.families.origin import read_family_source
from scalesearch.io import to_document
from scalesearch.models.custom_model import code_allowed
from scalesearch.reporting.update import write_results
from scalesearch.search.driver import run_search

ROOT = Path(__file__).parents[2]
YAML = ROOT / "experiments" / "baselines" / "tiny_mbconv.yaml"
CODE = "experiments.baselines.plain_cnn:factory"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def document(**settings):
    return {
        "name": "own",
        "baseline": settings,
        "data": {"source": "digits", "train_samples": 60, "validation_samples": 40, "pixels": 12},
        "budget": {"factor": 2.0, "tolerance": 0.06},
        "recipe": {"epochs": 1, "batch_size": 30},
        "search": {"sampler": "lattice", "step": 1, "seeds": 1, "references": ["depth"]},
        "device": "cpu",
    }


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_of_stages_is_a_baseline_like_any_other():
    network = named_baseline(str(YAML), width=0.5, resolution=24, in_channels=1)
    assert network.stages[0] == Stage(2, 8, block="fused_mbconv", expansion=2, squeeze=0)
    assert (network.resolution, network.in_channels, network.num_classes) == (24, 1, 10)
    assert cost(network).macs < cost(named_baseline(str(YAML))).macs


def test_the_published_baseline_can_be_written_as_a_file(tmp_path):
    b0 = baseline("efficientnet_b0")
    file = write(tmp_path / "b0.yaml", json.dumps(to_json(b0)))
    assert named_baseline(file) == b0


def test_all_problems_of_a_baseline_file_are_reported_at_once(tmp_path):
    text = "stem: 0\nhead: 8\nresolution: ten\nstages: [{repeat: 1, width: 8}, {width: a}]\nhaed: 1"
    file = write(tmp_path / "bad.yaml", text)
    with refused(ExperimentError):
        named_baseline(file)


def test_an_invalid_stage_is_reported_with_its_position(tmp_path):
    stages = "[{repeats: 1, width: 8, kernel: 4}, {repeats: 1, width: 8, block: mbcov}]"
    file = write(tmp_path / "bad.yaml", f"{{stem: 8, head: 8, resolution: 8, stages: {stages}}}")
    with refused(ExperimentError):
        named_baseline(file)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "nowhere.yaml"},
        {"name": "no_such_net"},
        {"network": {"stem": 8}},
        {"name": "mine", "network": {"steam": 8}},
    ],
)
def test_an_invalid_baseline_is_refused(settings):
    with refused(ExperimentError):
        experiment_from_document(document(**settings))


def test_a_network_in_the_experiment_needs_a_name_of_its_own():
    with refused(ValueError):
        BaselineSpec(network=baseline("efficientnet_b0"))


def test_code_decides_its_stem_itself():
    with refused(ArchitectureError):
        experiment_from_document(document(name=CODE, stem_stride=1)).baseline.build_architecture()


def test_a_results_folder_keeps_the_network_of_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    shutil.copy(YAML, file)
    experiment = experiment_from_document(
        document(name=str(file), width=0.25, depth=0.5, resolution=12)
    )
    records = run_search(experiment, tmp_path / "results")
    file.unlink()
    summary = write_results(tmp_path / "results")
    assert summary.candidates == records["candidate"].nunique() >= 2
    assert run_search(experiment, tmp_path / "results").equals(records)
    assert experiment_from_document(to_document(experiment)) == experiment
    origin = read_family_source(str(tmp_path / "results" / "coefficients.json"))
    assert origin.baseline == experiment.baseline.build_architecture(in_channels=1, num_classes=10)


@pytest.mark.slow
def test_a_search_on_code_runs_to_its_results_and_resumes(tmp_path):
    experiment = experiment_from_document(document(name=CODE, resolution=12, width=0.5))
    folder = tmp_path / "results"
    with refused(ArchitectureError):
        run_search(experiment, folder)
    assert not folder.exists()

    class Stopped(Exception):
        pass

    def stop_search(progress):
        raise Stopped

    with pytest.raises(Stopped):
        run_search(experiment, folder, on_progress=stop_search, allow_code=True)
    records = run_search(experiment, folder, allow_code=True)
    undisturbed = run_search(experiment, tmp_path / "undisturbed", allow_code=True)
    columns = ["candidate", "seed", "epoch", "macs", "loss", "accuracy"]
    assert records[columns].equals(undisturbed[columns])
    assert len(records) >= 2
    with code_allowed():
        summary = write_results(folder)
        origin = read_family_source(str(folder / "coefficients.json"))
        members = family_document(origin.coefficients, origin.baseline, phis=(0, 1))["members"]
    assert summary.candidates == len(records)
    assert all(member["macs"] == member["fvcore_macs"] for member in members)


def test_code_that_changed_during_a_search_is_noticed(tmp_path, monkeypatch):
    from scalesearch.data.sources.by_name import load_dataset
    from scalesearch.training.job import TrainingJob
    from scalesearch.training.loop import train

    experiment = experiment_from_document(document(name=CODE, resolution=12))
    network = experiment.baseline.build_architecture(in_channels=1, num_classes=10)
    dataset = load_dataset(experiment.data, 0)
    job = TrainingJob(
        architecture=network, recipe=experiment.recipe, seed=0, fingerprint="0123456789abcdef"
    )
    with (
        code_allowed(),
        refused(ScaleSearchError),
    ):
        next(train(job, dataset, device="cpu"))
