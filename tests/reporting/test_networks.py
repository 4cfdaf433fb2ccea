"""Networks in files and folders are found by name."""

import json

import pytest
from refusals import refused

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import from_json
from scalesearch.config.reading import experiment_from_document, write_experiment
from scalesearch.deploy.network_references import is_network_reference, network_from_reference
from scalesearch.errors import ExperimentError, SearchError
from scalesearch.families.members import family_document, write_family
from scalesearch.scaling.coefficients import Coefficients

DATA = {"source": "digits", "channels": 1, "classes": [str(i) for i in range(10)]}


@pytest.fixture(scope="module")
def document():
    small = baseline("efficientnet_b0", width=0.25, resolution=16, stem_stride=1)
    return family_document(Coefficients(1.2, 1.1, 1.15), small, mode="exact", phis=(0, 1))


@pytest.fixture
def folder(tmp_path):
    experiment = experiment_from_document(
        {"name": "x", "baseline": {"width": 0.25, "resolution": 32, "stem_stride": 1}}
    )
    write_experiment(tmp_path / "experiment.yaml", experiment)
    environment = {"device": "cpu", "commit": "", "data": DATA}
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    return tmp_path


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_member_and_its_baseline(tmp_path, document, suffix):
    path = write_family(tmp_path / f"family.{suffix}", document)
    found = network_from_reference(f"{path}:b1")
    assert found.name == "b1"
    assert found.network == from_json(document["members"][1]["architecture"])
    assert found.baseline == from_json(document["baseline"])


def test_a_candidate_is_found_by_a_unique_prefix_of_its_fingerprint(folder):
    from scalesearch.candidates.iso_cost import iso_cost_set
    from scalesearch.config.reading import read_experiment

    experiment = read_experiment(folder / "experiment.yaml")
    small = experiment.baseline.build_architecture(in_channels=1, num_classes=10)
    candidates = iso_cost_set(small, experiment.budget)
    asked = candidates[len(candidates) // 2]
    found = network_from_reference(f"{folder}:{asked.fingerprint}")
    assert found.network == asked.architecture
    assert found.baseline == small
    assert network_from_reference(f"{folder}:{asked.fingerprint[:8]}").name == asked.fingerprint
    (folder / "coefficients.json").write_text(json.dumps({"candidate": asked.fingerprint}))
    assert network_from_reference(f"{folder}:best") == found


def test_an_unknown_candidate_is_refused(folder, tmp_path):
    with refused(SearchError):
        network_from_reference(f"{folder}:zz")
    with refused(SearchError):
        network_from_reference(f"{folder}:best")
    (tmp_path / "empty").mkdir()
    with refused(SearchError):
        network_from_reference(f"{tmp_path / 'empty'}:best")


def test_another_document_is_refused(tmp_path, document):
    path = tmp_path / "family.json"
    path.write_text(json.dumps({"schema": "scalesearch/coefficients"}))
    with refused(ExperimentError):
        network_from_reference(f"{path}:b1")
    path.write_text(json.dumps({**document, "members": [{"name": "b0"}]}))
    with refused(ExperimentError):
        network_from_reference(f"{path}:b0")


@pytest.mark.parametrize(
    ("text", "whether"),
    [
        ("family.json:b2", True),
        ("efficientnet_b0", False),
        ("nets.plain:cnn", False),
        ("net.yaml", False),
        ("family.json:", False),
    ],
)
def test_names_of_networks_are_recognised(text, whether):
    assert is_network_reference(text) is whether


def test_a_member_of_a_custom_family_is_made_by_its_code(tmp_path):
    made = {"factory": "nets.plain:cnn", "depth": 1.2, "width": 1.1, "resolution": 20}
    rows = [{"name": "b1", "architecture": made}]
    path = tmp_path / "family.json"
    path.write_text(
        json.dumps(
            {
                "schema": "scalesearch/family",
                "baseline": {"factory": "nets.plain:cnn"},
                "members": rows,
            }
        )
    )
    assert network_from_reference(f"{path}:b1").network == CustomModel(**made)
