"""Calibration of probabilities, and the calibration error of a network."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from scalesearch.deploy.classifier import Classifier
from scalesearch.deploy.predictions import probabilities
from scalesearch.deploy.probability_calibration import (
    fit_temperature,
    probability_calibration,
    reliability,
    write_calibrated_network,
)
from scalesearch.errors import DataError, ExportError
from scalesearch.training.network_file import read_network, write_network


def overconfident_logits(count, temperature, seed=0, classes=5):
    """Logits multiplied by ``temperature``, and labels drawn from the unscaled ones."""
    random = np.random.default_rng(seed)
    true_logits = random.normal(0, 2, (count, classes))
    class_probabilities = probabilities(true_logits.astype(np.float32), 1.0)
    labels = (class_probabilities.cumsum(1) > random.random((count, 1))).argmax(1)
    return (true_logits * temperature).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_fit_temperature_finds_the_factor_of_overconfident_logits(temperature):
    logits, labels = overconfident_logits(20_000, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_smaller_loss():
    logits, labels = overconfident_logits(300, 2.0)
    best = fit_temperature(logits, labels)
    smallest_loss = reliability(logits, labels, best).nll
    for factor in (0.5, 0.99, 1.01, 2.0):
        assert reliability(logits, labels, best * factor).nll > smallest_loss


def test_calibrated_logits_need_no_further_temperature():
    logits, labels = overconfident_logits(500, 3.0)
    temperature = fit_temperature(logits, labels)
    assert fit_temperature(logits / np.float32(temperature), labels) == pytest.approx(1, rel=1e-4)


@given(st.floats(0.05, 20), st.integers(0, 5))
def test_accuracy_does_not_depend_on_the_temperature(temperature, seed):
    logits, labels = overconfident_logits(50, 1.0, seed)
    unscaled, scaled = reliability(logits, labels), reliability(logits, labels, temperature)
    assert unscaled.accuracy == scaled.accuracy
    assert 0 <= scaled.ece <= 1


def test_reliability_equals_a_calculation_by_hand():
    """Four images in two bins: confidence 0.85 with one of two correct, 0.95 with both."""
    class_probabilities = np.array([[0.85, 0.15], [0.15, 0.85], [0.95, 0.05], [0.05, 0.95]])
    logits, labels = np.log(class_probabilities).astype(np.float32), np.array([0, 0, 0, 1])
    measured = reliability(logits, labels, bins=10)
    assert measured.accuracy == 0.75
    assert measured.ece == pytest.approx((2 * abs(0.5 - 0.85) + 2 * abs(1 - 0.95)) / 4, abs=1e-6)
    assert measured.nll == pytest.approx(-np.log([0.85, 0.15, 0.95, 0.95]).mean(), abs=1e-6)
    assert (measured.images, measured.bins) == (4, 10)
    assert [(point.images, point.accuracy) for point in measured.curve] == [(2, 0.5), (2, 1.0)]
    assert [point.confidence for point in measured.curve] == pytest.approx([0.85, 0.95])


def test_a_well_calibrated_network_has_a_small_calibration_error():
    assert reliability(*overconfident_logits(20_000, 1.0)).ece < 0.02
    assert reliability(*overconfident_logits(20_000, 4.0)).ece > 0.1


def test_extreme_logits_have_a_finite_loss():
    logits, labels = np.array([[1e4, -1e4]], np.float32), np.array([1])
    assert reliability(logits, labels, 0.01).nll == pytest.approx(2e6)


def test_predictions_that_are_all_correct_have_no_best_temperature():
    logits, labels = np.eye(4, dtype=np.float32), np.arange(4)
    with refused(DataError):
        fit_temperature(logits, labels)


def test_predictions_that_are_all_wrong_have_no_best_temperature():
    logits, labels = -np.eye(4, dtype=np.float32), np.arange(4)
    with refused(DataError):
        fit_temperature(logits, labels)


def test_a_network_is_calibrated_on_validation_images_and_checked_on_test_images(trained_digits):
    classifier = Classifier.read(trained_digits.network_file, "cpu")
    calibration = probability_calibration(
        classifier, trained_digits.dataset, trained_digits.test_split
    )
    before, after = calibration.validation
    assert (before.images, calibration.test[0].images) == (
        len(trained_digits.dataset.validation),
        len(trained_digits.labels),
    )
    assert after.nll < before.nll
    assert calibration.test[0] == reliability(
        trained_digits.logits.numpy(), trained_digits.labels.numpy()
    )
    expected = reliability(
        trained_digits.logits.numpy(), trained_digits.labels.numpy(), calibration.temperature
    )
    assert calibration.test[1] == expected
    assert calibration.test[1].accuracy == calibration.test[0].accuracy


def test_calibration_writes_a_new_file_and_keeps_the_old_one(trained_digits, tmp_path):
    content_before = trained_digits.network_file.read_bytes()
    out = write_calibrated_network(
        trained_digits.network_file, tmp_path / "milder.safetensors", 2.5
    )
    assert trained_digits.network_file.read_bytes() == content_before
    original, calibrated = read_network(trained_digits.network_file), read_network(out)
    assert calibrated.preparation == replace(original.preparation, temperature=2.5)
    assert (calibrated.name, calibrated.origin, calibrated.architecture) == (
        original.name,
        original.origin,
        original.architecture,
    )
    original_classifier, calibrated_classifier = (
        Classifier.read(path, "cpu") for path in (trained_digits.network_file, out)
    )
    image = trained_digits.test_image_paths[0]
    assert np.array_equal(
        calibrated_classifier.predict(image).logits, original_classifier.predict(image).logits
    )
    expected = probabilities(original_classifier.predict(image).logits, 2.5)
    assert np.array_equal(calibrated_classifier.predict(image).probabilities, expected)


def test_calibration_overwrites_no_existing_file(trained_digits, tmp_path):
    (tmp_path / "there").write_text("my thesis")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("there", "link"):
        with refused(ExportError):
            write_calibrated_network(trained_digits.network_file, tmp_path / name, 2.0)
    assert (tmp_path / "there").read_text() == "my thesis"


def test_a_network_without_a_preparation_cannot_be_calibrated(trained_digits, tmp_path):
    saved = read_network(trained_digits.network_file)
    file_without_preparation = write_network(tmp_path / "bare.safetensors", saved.network)
    with refused(ExportError):
        write_calibrated_network(file_without_preparation, tmp_path / "new.safetensors", 2.0)


def test_calibration_warns_of_another_interpolation(trained_digits):
    preparation = replace(trained_digits.preparation, interpolation="bicubic")
    bicubic_classifier = Classifier(
        read_network(trained_digits.network_file).network, preparation, "cpu"
    )
    with pytest.warns(UserWarning, match="resizes images by bilinear interpolation, the network"):
        probability_calibration(
            bicubic_classifier, trained_digits.dataset, trained_digits.test_split
        )


@pytest.mark.parametrize(
    "change",
    [
        {"stored": 11},
        {"class_names": (*"012345678", "ten")},
        {"class_names": (*"103456782", "9")},
    ],
)
def test_images_of_another_size_or_other_classes_are_refused(trained_digits, change):
    preparation = replace(trained_digits.preparation, **change)
    classifier = Classifier(read_network(trained_digits.network_file).network, preparation, "cpu")
    with refused(DataError):
        probability_calibration(classifier, trained_digits.dataset, trained_digits.test_split)
