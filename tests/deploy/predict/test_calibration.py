"""Probabilities that are as often right as they say, and how far from that others are."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def drawn(count, temperature, seed=0, classes=5):
    """Logits that are ``temperature`` times too sure, and labels drawn from the true ones."""
    random = np.random.default_rng(seed)
    true = random.normal(0, 2, (count, classes))
    chances = probabilities(true.astype(np.float32), 1.0)
    labels = (chances.cumsum(1) > random.random((count, 1))).argmax(1)
    return (true * temperature).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_made_answers_too_sure_is_found(temperature):
    logits, labels = drawn(20_000, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_smaller_loss():
    logits, labels = drawn(300, 2.0)
    best = fit_temperature(logits, labels)
    least = reliability(logits, labels, best).nll
    for factor in (0.5, 0.99, 1.01, 2.0):
        assert reliability(logits, labels, best * factor).nll > least


def test_calibrating_what_is_calibrated_changes_nothing():
    logits, labels = drawn(500, 3.0)
    once = fit_temperature(logits, labels)
    assert fit_temperature(logits / np.float32(once), labels) == pytest.approx(1, rel=1e-4)


@given(st.floats(0.05, 20), st.integers(0, 5))
def test_accuracy_does_not_depend_on_the_temperature(temperature, seed):
    logits, labels = drawn(50, 1.0, seed)
    plain, other = reliability(logits, labels), reliability(logits, labels, temperature)
    assert plain.accuracy == other.accuracy
    assert 0 <= other.ece <= 1


def test_the_error_of_calibration_is_that_of_a_count_by_hand():
    """Four images in two of ten bins: sure to 0.85 and right once of two, to 0.95 and right."""
    chances = np.array([[0.85, 0.15], [0.15, 0.85], [0.95, 0.05], [0.05, 0.95]])
    logits, labels = np.log(chances).astype(np.float32), np.array([0, 0, 0, 1])
    found = reliability(logits, labels, bins=10)
    assert found.accuracy == 0.75
    assert found.ece == pytest.approx((2 * abs(0.5 - 0.85) + 2 * abs(1 - 0.95)) / 4, abs=1e-6)
    assert found.nll == pytest.approx(-np.log([0.85, 0.15, 0.95, 0.95]).mean(), abs=1e-6)
    assert (found.images, found.bins) == (4, 10)
    assert [(one.images, one.accuracy) for one in found.curve] == [(2, 0.5), (2, 1.0)]
    assert [one.confidence for one in found.curve] == pytest.approx([0.85, 0.95])


def test_a_network_that_is_as_right_as_it_is_sure_has_hardly_an_error():
    assert reliability(*drawn(20_000, 1.0)).ece < 0.02
    assert reliability(*drawn(20_000, 4.0)).ece > 0.1


def test_the_surest_of_answers_have_a_finite_loss():
    logits, labels = np.array([[1e4, -1e4]], np.float32), np.array([1])
    assert reliability(logits, labels, 0.01).nll == pytest.approx(2e6)


def test_answers_that_are_all_right_have_no_best_temperature():
    logits, labels = np.eye(4, dtype=np.float32), np.arange(4)
    with pytest.raises(DataError, match=r"need some wrong answers .* got 4 right ones"):
        fit_temperature(logits, labels)


def test_answers_that_are_all_wrong_have_no_temperature():
    logits, labels = -np.eye(4, dtype=np.float32), np.arange(4)
    with pytest.raises(DataError, match="need answers that tell more than chance does"):
        fit_temperature(logits, labels)


def test_a_network_is_calibrated_on_validation_images_and_checked_on_test_images(digits):
    classifier = Classifier.read(digits.network, "cpu")
    found = probability_calibration(classifier, digits.dataset, digits.test)
    before, after = found.validation
    assert (before.images, found.test[0].images) == (
        len(digits.dataset.validation),
        len(digits.labels),
    )
    assert after.nll < before.nll
    assert found.test[0] == reliability(digits.logits.numpy(), digits.labels.numpy())
    again = reliability(digits.logits.numpy(), digits.labels.numpy(), found.temperature)
    assert found.test[1] == again
    assert found.test[1].accuracy == found.test[0].accuracy


def test_the_temperature_is_in_the_new_file_and_the_old_one_is_as_it_was(digits, tmp_path):
    before = digits.network.read_bytes()
    out = write_calibrated_network(digits.network, tmp_path / "milder.safetensors", 2.5)
    assert digits.network.read_bytes() == before
    old, new = read_network(digits.network), read_network(out)
    assert new.preparation == replace(old.preparation, temperature=2.5)
    assert (new.name, new.origin, new.architecture) == (old.name, old.origin, old.architecture)
    plain, milder = (Classifier.read(path, "cpu") for path in (digits.network, out))
    image = digits.tested[0]
    assert np.array_equal(milder.predict(image).logits, plain.predict(image).logits)
    expected = probabilities(plain.predict(image).logits, 2.5)
    assert np.array_equal(milder.predict(image).probabilities, expected)


def test_what_is_there_is_not_written_over(digits, tmp_path):
    (tmp_path / "there").write_text("my thesis")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("there", "link"):
        with pytest.raises(ExportError, match=f"{name}: need a new file"):
            write_calibrated_network(digits.network, tmp_path / name, 2.0)
    assert (tmp_path / "there").read_text() == "my thesis"


def test_a_network_that_says_nothing_of_images_can_hold_no_temperature(digits, tmp_path):
    saved = read_network(digits.network)
    bare = write_network(tmp_path / "bare.safetensors", saved.network)
    with pytest.raises(ExportError, match="need a preparation to hold a temperature"):
        write_calibrated_network(bare, tmp_path / "new.safetensors", 2.0)


def test_images_that_are_resized_otherwise_than_the_network_is_used_to_are_warned_of(digits):
    preparation = replace(digits.preparation, interpolation="bicubic")
    other = Classifier(read_network(digits.network).network, preparation, "cpu")
    with pytest.warns(UserWarning, match="fitted to images resized by bilinear, and the network's"):
        probability_calibration(other, digits.dataset, digits.test)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stored": 11}, "stored at 11 pixels, as the network's, got 1 channels at 12"),
        (
            {"class_names": (*"012345678", "ten")},
            "need the 10 classes of the network in their order, got 10, others: 9, missing: ten",
        ),
        (
            {"class_names": (*"103456782", "9")},
            "in their order, got 10, others: none, missing: none",
        ),
    ],
)
def test_images_that_the_network_was_not_made_for_are_refused(digits, change, message):
    preparation = replace(digits.preparation, **change)
    other = Classifier(read_network(digits.network).network, preparation, "cpu")
    with pytest.raises(DataError, match=message):
        probability_calibration(other, digits.dataset, digits.test)
