"""Grad-CAM: compared with its definition and with the logits."""

import dataclasses

import pytest
import torch
from refusals import refused

from scalesearch.architectures.baselines import baseline
from scalesearch.errors import ArchitectureError
from scalesearch.models.network import build_model
from scalesearch.training.gradcam import grad_cam, grad_cam_of_validation, validation_images
from scalesearch.training.inference import load_trained_model
from scalesearch.training.loop import train


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    small = baseline(
        "efficientnet_b0", width=0.25, depth=0.3, resolution=24, stem_stride=1, num_classes=5
    )
    return settled(build_model(small, norm_momentum=1.0))


@pytest.fixture(scope="module")
def images():
    return drawn()


def drawn():
    return torch.randn(3, 3, 24, 24, generator=torch.Generator().manual_seed(1)).double()


def settled(network):
    """In evaluation mode, with the statistics of the images, or its maps would be next to nothing;
    in double precision, for differences of small steps."""
    network.double().train()
    with torch.no_grad():
        network(drawn())
    return network.eval()


CLASSES = torch.tensor([0, 2, 4])


def test_the_last_maps_sum_to_the_logit_without_its_bias(network, images):
    found, logits = grad_cam(network, images, CLASSES)
    bias = network.classifier.bias[CLASSES]
    sums = found.sum((1, 2)) + bias
    torch.testing.assert_close(sums, logits.gather(1, CLASSES[:, None])[:, 0])
    assert (sums - bias).abs().max() > 0.05
    torch.testing.assert_close(logits, network(images))


def test_the_last_maps_are_those_of_zhou_et_al(network, images):
    found, _ = grad_cam(network, images, CLASSES)
    features = network.head(network.stages(network.stem_pool(network.stem(images))))
    weights = network.classifier.weight[CLASSES]
    expected = torch.einsum("bc,bchw->bhw", weights, features) / features[0, 0].numel()
    torch.testing.assert_close(found, expected)


def test_maps_of_a_stage_have_its_size_and_follow_the_gradient(network, images):
    found, logits = grad_cam(network, images, CLASSES, stage=2)
    assert found.shape == (3, 6, 6)
    torch.testing.assert_close(logits, network(images))
    features = network.stages[:3](network.stem(images)).detach()
    step = 1e-6
    for channel in (0, 5):
        moved = features.clone()
        moved[:, channel] += step
        higher = _answers(network, moved)
        slope = (higher - _answers(network, features)).gather(1, CLASSES[:, None])[:, 0] / step
        weight = _weight(network, features, channel)
        torch.testing.assert_close(slope, weight * 36, rtol=1e-3, atol=1e-7)


def test_a_head_after_the_pooling_is_applied(images):
    torch.manual_seed(0)
    own = baseline("mobilenet_v3_large", width=0.25, resolution=24, num_classes=5)
    pooled = settled(build_model(own, norm_momentum=1.0))
    found, logits = grad_cam(pooled, images, CLASSES)
    assert found.shape[0] == 3
    torch.testing.assert_close(logits, pooled(images))


def test_a_network_in_training_mode_and_a_custom_model_are_refused(network, images):
    with refused(ArchitectureError):
        grad_cam(torch.nn.Flatten(), images, CLASSES)
    network.train()
    try:
        with refused(ValueError):
            grad_cam(network, images, CLASSES)
    finally:
        network.eval()


def test_images_are_shown_as_in_validation(job, dataset, tmp_path):
    job = dataclasses.replace(job, checkpoint=tmp_path / "run.pt", stop=1)
    for _ in train(job, dataset, device="cpu"):
        pass
    own = load_trained_model(job, dataset, "cpu")
    chosen = [3, 0, 11]
    maps, answers = grad_cam_of_validation(own, job, dataset, chosen, None, "cpu")
    assert maps.shape == (3, 5, 5)
    assert set(answers) <= {0, 1}
    stored = validation_images(dataset, chosen)
    assert (stored["images"] == dataset.validation.images[chosen].numpy()).all()
    assert list(stored["labels"]) == [1, 0, 1]
    assert list(stored["class_names"]) == ["upper", "lower"]


def _answers(network, features):
    with torch.no_grad():
        x = features
        for stage in list(network.stages)[3:]:
            x = stage(x)
        return network.classifier(network.head(x).mean((2, 3)))


def _weight(network, features, channel):
    x = features.clone().requires_grad_()
    out = x
    for stage in list(network.stages)[3:]:
        out = stage(out)
    logits = network.classifier(network.head(out).mean((2, 3)))
    (slopes,) = torch.autograd.grad(logits.gather(1, CLASSES[:, None]).sum(), x)
    return slopes[:, channel].mean((1, 2))
