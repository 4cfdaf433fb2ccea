"""Transfer: weights that are copied, and networks that are refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from refusals import refused
from trained_runs import epochs_of
from transfers import going_on, moved, some_network, tensors

from scalesearch.architectures.stages import Architecture
from scalesearch.config.transfer_spec import Transfer
from scalesearch.data.dataset import Dataset
from scalesearch.data.preparation import Preparation
from scalesearch.errors import WeightsError
from scalesearch.models.network import build_model
from scalesearch.training import transfer
from scalesearch.training.job import TrainingJob
from scalesearch.training.job_network import build_initial_model
from scalesearch.training.network_file import SavedNetwork, read_network, write_network


def test_all_weights_but_a_new_classifier_are_copied(job: TrainingJob, pretrained: Path) -> None:
    ours = build_initial_model(going_on(job, pretrained), torch.device("cpu")).state_dict()
    theirs = read_network(pretrained).network.state_dict()
    for name in theirs:
        if name.startswith("classifier"):
            assert len(ours[name]) == 2
        else:
            assert torch.equal(ours[name], theirs[name]), name


def test_a_new_classifier_is_drawn_from_the_seed(job: TrainingJob, pretrained: Path) -> None:
    one, same, other = (
        build_initial_model(replace(going_on(job, pretrained), seed=seed), torch.device("cpu"))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)


def test_a_classifier_is_kept_on_request(
    job: TrainingJob, architecture: Architecture, tmp_path: Path
) -> None:
    network = some_network(architecture)
    path = write_network(tmp_path / "same.safetensors", network)
    ours = build_initial_model(
        going_on(job, path, Transfer(classifier="keep")), torch.device("cpu")
    )
    assert moved(tensors(network), tensors(ours)) == set()


def test_a_network_keeps_the_computation_options_of_its_weights(
    job: TrainingJob, architecture: Architecture, tmp_path: Path
) -> None:
    network = some_network(architecture, norm_eps=0.1, padding="same")
    path = write_network(tmp_path / "tf.safetensors", network)
    ours = build_initial_model(
        going_on(job, path, Transfer(classifier="keep")), torch.device("cpu")
    )
    images = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images), network(images))
        assert not torch.allclose(some_network(architecture)(images), network(images), atol=1e-2)


@pytest.mark.parametrize(("theirs", "ours"), [(3, 1), (1, 3)])
def test_grey_images_give_equal_outputs_after_a_change_of_channels(
    theirs: int, ours: int, job: TrainingJob, architecture: Architecture, tmp_path: Path
) -> None:
    network = some_network(replace(architecture, in_channels=theirs))
    path = write_network(tmp_path / "other.safetensors", network)
    for_ours = replace(architecture, in_channels=ours)
    asked = replace(going_on(job, path, Transfer(classifier="keep")), architecture=for_ours)
    adapted = build_initial_model(asked, torch.device("cpu")).eval()
    grey = torch.rand(4, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(
            adapted(grey.expand(-1, ours, -1, -1)), network(grey.expand(-1, theirs, -1, -1))
        )


def test_other_numbers_of_channels_are_refused() -> None:
    with refused(WeightsError):
        transfer.adapted_stem_weight(torch.zeros(8, 3, 3, 3), 4)


def test_a_network_other_than_the_files_is_refused(
    job: TrainingJob, architecture: Architecture, pretrained: Path
) -> None:
    wider = replace(going_on(job, pretrained), architecture=replace(architecture, head=64))
    with refused(WeightsError):
        build_initial_model(wider, torch.device("cpu"))
    larger = replace(architecture, resolution=20, stem_stride=2)
    build_initial_model(replace(wider, architecture=larger), torch.device("cpu"))


def test_weights_that_changed_since_the_run_was_planned_are_refused(
    job: TrainingJob, dataset: Dataset, architecture: Architecture, pretrained: Path
) -> None:
    planned = going_on(job, pretrained)
    other = some_network(replace(architecture, num_classes=3), seed=1)
    write_network(pretrained, other)
    with refused(WeightsError):
        epochs_of(planned, dataset)


@pytest.mark.parametrize(
    "names",
    [
        ("a", "c"),
        ("b", "a"),
        ("a", "b", "c"),
    ],
)
def test_a_classifier_for_other_classes_cannot_be_kept(
    names: tuple[str, ...], architecture: Architecture
) -> None:
    shown = Preparation(pixels=9, stored=9, mean=(0.5,) * 3, std=(0.2,) * 3, class_names=("a", "b"))
    saved = SavedNetwork(
        network=build_model(architecture), architecture=architecture, preparation=shown
    )
    with refused(WeightsError):
        transfer.require_classes(saved, names, "before.safetensors")
    transfer.require_classes(saved, ("a", "b"), "before.safetensors")
    nameless = replace(saved, preparation=None)
    transfer.require_classes(nameless, ("x", "y"), "before.safetensors")
    with refused(WeightsError):
        transfer.require_classes(nameless, ("x", "y", "z"), "before.safetensors")
