"""Predictions of a classifier for images given in any form."""

from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused
from torch import nn

import scalesearch
from scalesearch.architectures.baselines import baseline
from scalesearch.data.preparation import Preparation
from scalesearch.deploy import classifier as classifier_module
from scalesearch.deploy.classifier import Classifier, image_paths
from scalesearch.deploy.predictions import Prediction, UnreadableImage
from scalesearch.errors import DataError, WeightsError
from scalesearch.models.network import build_model
from scalesearch.training.network_file import write_network


@pytest.fixture(scope="module")
def classifier(trained_digits):
    return Classifier.read(trained_digits.network_file, "cpu")


@pytest.fixture
def colour_classifier():
    """An untrained network of colour images that gives each image other logits."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(3 * 16 * 16, 3))
    preparation = Preparation(
        pixels=16,
        stored=16,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        class_names=("ant", "bee", "cow"),
    )
    return Classifier(network, preparation, "cpu")


def stacked_logits(predictions):
    assert all(isinstance(prediction, Prediction) for prediction in predictions)
    return np.stack([prediction.logits for prediction in predictions])


def test_predictions_on_files_equal_those_of_training(trained_digits, classifier):
    """They are equal to the last bit if the batches have the same size."""
    predictions = list(classifier.predict_batch(trained_digits.test_image_paths, batch_size=256))
    assert np.array_equal(stacked_logits(predictions), trained_digits.logits.numpy())
    assert [prediction.image for prediction in predictions] == list(
        map(str, trained_digits.test_image_paths)
    )
    true_names = [trained_digits.dataset.class_names[label] for label in trained_digits.labels]
    assert [path.parent.name for path in trained_digits.test_image_paths] == true_names
    predictions_and_names = zip(predictions, true_names, strict=True)
    assert (
        np.mean(
            [prediction.top(1)[0].class_name == name for prediction, name in predictions_and_names]
        )
        > 0.5
    )


def test_the_batch_size_does_not_change_the_logits(trained_digits, classifier):
    paths = trained_digits.test_image_paths[:23]
    logits_of_one_batch = stacked_logits(list(classifier.predict_batch(paths, batch_size=100)))
    for size in (1, 5, 23):
        logits_of_batches = stacked_logits(list(classifier.predict_batch(paths, batch_size=size)))
        assert np.allclose(logits_of_batches, logits_of_one_batch, atol=1e-5)


def test_a_path_and_bytes_and_pixels_of_an_image_give_the_same_logits(trained_digits, classifier):
    path = trained_digits.test_image_paths[7]
    with Image.open(path) as image:
        pixels = np.asarray(image)
        inputs = (path, str(path), path.read_bytes(), image, pixels, pixels[..., None])
        pixels_of_16_bits = pixels.astype(np.uint16) << 8
        predictions = [
            classifier.predict(image_input)
            for image_input in (*inputs, pixels_of_16_bits, np.stack([pixels] * 3, 2))
        ]
    for prediction in predictions[1:]:
        assert np.array_equal(prediction.logits, predictions[0].logits)
    batch = classifier.predict_batch(inputs)
    assert [prediction.image for prediction in batch] == [str(path)] * 2 + [
        f"image {n}" for n in (2, 3, 4, 5)
    ]


def test_probabilities_sum_to_one_and_top_sorts_them(trained_digits, classifier):
    prediction = classifier.predict(trained_digits.test_image_paths[0])
    assert prediction.probabilities.sum() == pytest.approx(1)
    best = prediction.top(10)
    assert [class_probability.probability for class_probability in best] == sorted(
        prediction.probabilities, reverse=True
    )
    assert {class_probability.class_name for class_probability in best} == set(
        trained_digits.dataset.class_names
    )
    assert best[0].class_name == trained_digits.dataset.class_names[prediction.logits.argmax()]
    assert prediction.top(3) == best[:3]


def test_a_temperature_changes_the_probabilities_but_not_their_order(trained_digits, classifier):
    preparation = replace(trained_digits.preparation, temperature=2.0)
    scaled = Classifier(classifier.network, preparation, "cpu").predict(
        trained_digits.test_image_paths[0]
    )
    unscaled = classifier.predict(trained_digits.test_image_paths[0])
    square_roots = np.sqrt(unscaled.probabilities)
    assert scaled.probabilities == pytest.approx(square_roots / square_roots.sum())
    assert [class_probability.class_name for class_probability in scaled.top()] == [
        class_probability.class_name for class_probability in unscaled.top()
    ]


def test_unreadable_images_give_a_reason_at_their_position(colour_classifier, tmp_path, make_image):
    make_image(1).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("<!DOCTYPE html><title>404</title>")
    content = (tmp_path / "a.png").read_bytes()
    inputs = [
        tmp_path / "a.png",
        tmp_path / "b.jpg",
        content[:40],
        b"",
        tmp_path / "no.png",
        content,
    ]
    predictions = list(colour_classifier.predict_batch(inputs, batch_size=2))
    prediction_types = [type(prediction) for prediction in predictions]
    assert prediction_types == [
        Prediction,
        UnreadableImage,
        UnreadableImage,
        UnreadableImage,
        UnreadableImage,
        Prediction,
    ]
    assert np.allclose(predictions[0].logits, predictions[-1].logits, atol=1e-6)
    assert predictions[1].image == str(tmp_path / "b.jpg")
    assert predictions[1].reason.startswith("not an image: it begins with b'<!DOCTYPE html>")
    assert predictions[3] == UnreadableImage("image 3", "an empty file")
    assert predictions[4].reason == "no such file"
    with refused(DataError):
        colour_classifier.predict(tmp_path / "b.jpg")


def test_predict_batch_accepts_only_broken_images_and_no_images(colour_classifier):
    assert [unreadable.reason for unreadable in colour_classifier.predict_batch([b""] * 5, 2)] == [
        "an empty file"
    ] * 5
    assert list(colour_classifier.predict_batch([])) == []


@pytest.mark.parametrize("pending_batches", [0, 1])
def test_predict_batch_reads_an_endless_stream_only_as_needed(
    colour_classifier, make_image, monkeypatch, pending_batches
):
    monkeypatch.setattr(classifier_module, "_max_pending_batches", lambda device: pending_batches)
    numbers_taken = []

    def stream():
        for number in count():
            numbers_taken.append(number)
            yield make_image(number % 5)

    predictions = list(islice(colour_classifier.predict_batch(stream(), batch_size=3), 7))
    assert len(numbers_taken) == 9 + 3 * pending_batches
    assert np.allclose(predictions[0].logits, predictions[5].logits, atol=1e-6)
    assert not np.allclose(predictions[0].logits, predictions[1].logits, atol=1e-6)
    finite_predictions = colour_classifier.predict_batch(map(make_image, range(8)), batch_size=3)
    assert [prediction.image for prediction in finite_predictions] == [
        f"image {n}" for n in range(8)
    ]


@pytest.mark.parametrize("not_an_image", [[1, 2], None, 3.0, ("a.png",)])
def test_an_input_that_is_no_image_raises_a_type_error(colour_classifier, not_an_image):
    with refused(TypeError):
        colour_classifier.predict(not_an_image)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8, 3)),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8, 2), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_an_array_of_another_shape_or_type_is_refused(colour_classifier, pixels):
    with refused(ValueError):
        colour_classifier.predict(pixels)


def test_the_interpolation_of_the_preparation_is_used(colour_classifier, make_image):
    large_image = make_image(4, (40, 40))
    bicubic_classifier = Classifier(
        colour_classifier.network,
        replace(colour_classifier.preparation, interpolation="bicubic"),
        "cpu",
    )
    resized = np.asarray(large_image.resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(
        bicubic_classifier.predict(large_image).logits, colour_classifier.predict(resized).logits
    )
    assert not np.array_equal(
        bicubic_classifier.predict(large_image).logits,
        colour_classifier.predict(large_image).logits,
    )


def test_classes_without_names_are_named_by_numbers(colour_classifier, make_image):
    nameless = Classifier(
        colour_classifier.network, replace(colour_classifier.preparation, class_names=()), "cpu"
    )
    assert {
        class_probability.class_name for class_probability in nameless.predict(make_image(0)).top()
    } == {"0", "1", "2"}


def test_logits_that_are_not_numbers_are_no_prediction(colour_classifier, make_image):
    with torch.no_grad():
        colour_classifier.network[2].bias[1] = torch.nan
    (prediction,) = colour_classifier.predict_batch([make_image(0)])
    assert "logits are not finite" in prediction.reason


def test_a_classifier_puts_its_network_in_evaluation_mode(colour_classifier, make_image):
    logits_before = colour_classifier.predict(make_image(0)).logits
    colour_classifier.network.train()
    assert np.array_equal(
        Classifier(colour_classifier.network, colour_classifier.preparation, "cpu")
        .predict(make_image(0))
        .logits,
        logits_before,
    )


def test_a_network_file_without_a_preparation_is_refused(tmp_path):
    network = build_model(baseline("mobilenet_v2", width=0.1, num_classes=3))
    path = write_network(tmp_path / "n.safetensors", network)
    with refused(WeightsError):
        Classifier.read(path, "cpu")


@pytest.mark.parametrize("name", ["stored", "pixels"])
def test_a_preparation_of_absurd_size_is_refused_before_memory_is_used(colour_classifier, name):
    absurd = replace(colour_classifier.preparation, **{name: 100_000})
    with refused(WeightsError):
        Classifier(colour_classifier.network, absurd, "cpu")


def test_an_image_that_a_folder_refuses_keeps_its_position(colour_classifier, tmp_path, make_image):
    make_image(1).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/null")
    readable, unreadable = colour_classifier.predict_batch(image_paths([tmp_path]))
    assert readable.image == str(tmp_path / "a.png")
    assert unreadable.image == str(tmp_path / "b.png")
    assert "a link that leads out of the folder" in unreadable.reason


def test_the_public_classifier_is_this_class():
    assert scalesearch.Classifier is Classifier
