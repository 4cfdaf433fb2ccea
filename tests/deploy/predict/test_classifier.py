"""What a network answers, to whatever an image is given as."""

from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import scalesearch
from scalesearch.architectures.baselines import baseline
from scalesearch.data.preparation import Preparation
from scalesearch.deploy import classifier as module
from scalesearch.deploy.classifier import Classifier, image_paths
from scalesearch.deploy.predictions import Prediction, UnreadableImage
from scalesearch.errors import DataError, WeightsError
from scalesearch.models.network import build_model
from scalesearch.training.network_file import write_network


@pytest.fixture(scope="module")
def classifier(digits):
    return Classifier.read(digits.network, "cpu")


@pytest.fixture
def colour():
    """A network of colour images that nobody has trained, and that tells any two apart."""
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


def stacked(answers):
    assert all(isinstance(answer, Prediction) for answer in answers)
    return np.stack([answer.logits for answer in answers])


def test_the_answers_to_files_are_those_that_training_found_on_its_test_images(digits, classifier):
    """To the last bit where as many images are shown at once."""
    answers = list(classifier.predict_batch(digits.tested, batch_size=256))
    assert np.array_equal(stacked(answers), digits.logits.numpy())
    assert [answer.image for answer in answers] == list(map(str, digits.tested))
    named = [digits.dataset.class_names[label] for label in digits.labels]
    assert [path.parent.name for path in digits.tested] == named
    pairs = zip(answers, named, strict=True)
    assert np.mean([answer.top(1)[0].class_name == name for answer, name in pairs]) > 0.5


def test_the_size_of_a_batch_changes_no_answer(digits, classifier):
    few = digits.tested[:23]
    whole = stacked(list(classifier.predict_batch(few, batch_size=100)))
    for size in (1, 5, 23):
        parts = stacked(list(classifier.predict_batch(few, batch_size=size)))
        assert np.allclose(parts, whole, atol=1e-5)


def test_a_path_its_bytes_the_image_and_its_pixels_have_one_answer(digits, classifier):
    path = digits.tested[7]
    with Image.open(path) as image:
        pixels = np.asarray(image)
        given = (path, str(path), path.read_bytes(), image, pixels, pixels[..., None])
        deep = pixels.astype(np.uint16) << 8
        answers = [classifier.predict(one) for one in (*given, deep, np.stack([pixels] * 3, 2))]
    for answer in answers[1:]:
        assert np.array_equal(answer.logits, answers[0].logits)
    batch = classifier.predict_batch(given)
    assert [answer.image for answer in batch] == [str(path)] * 2 + [
        f"image {n}" for n in (2, 3, 4, 5)
    ]


def test_probabilities_sum_to_one_and_come_in_their_order(digits, classifier):
    answer = classifier.predict(digits.tested[0])
    assert answer.probabilities.sum() == pytest.approx(1)
    best = answer.top(10)
    assert [one.probability for one in best] == sorted(answer.probabilities, reverse=True)
    assert {one.class_name for one in best} == set(digits.dataset.class_names)
    assert best[0].class_name == digits.dataset.class_names[answer.logits.argmax()]
    assert answer.top(3) == best[:3]


def test_a_temperature_changes_how_sure_an_answer_is_and_not_which(digits, classifier):
    preparation = replace(digits.preparation, temperature=2.0)
    milder = Classifier(classifier.network, preparation, "cpu").predict(digits.tested[0])
    plain = classifier.predict(digits.tested[0])
    roots = np.sqrt(plain.probabilities)
    assert milder.probabilities == pytest.approx(roots / roots.sum())
    assert [one.class_name for one in milder.top()] == [one.class_name for one in plain.top()]


def test_images_that_cannot_be_read_have_their_reason_in_their_place(colour, tmp_path, picture):
    picture(1).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("<!DOCTYPE html><title>404</title>")
    whole = (tmp_path / "a.png").read_bytes()
    given = [tmp_path / "a.png", tmp_path / "b.jpg", whole[:40], b"", tmp_path / "no.png", whole]
    found = list(colour.predict_batch(given, batch_size=2))
    kinds = [type(answer) for answer in found]
    assert kinds == [
        Prediction,
        UnreadableImage,
        UnreadableImage,
        UnreadableImage,
        UnreadableImage,
        Prediction,
    ]
    assert np.allclose(found[0].logits, found[-1].logits, atol=1e-6)
    assert found[1].image == str(tmp_path / "b.jpg")
    assert found[1].reason.startswith("not an image: it begins with b'<!DOCTYPE html>")
    assert found[3] == UnreadableImage("image 3", "an empty file")
    assert found[4].reason == "no such file"
    with pytest.raises(DataError, match=r"b\.jpg: not an image: .*; give another image"):
        colour.predict(tmp_path / "b.jpg")


def test_a_batch_of_nothing_but_broken_images_and_one_of_none_do_no_harm(colour):
    assert [one.reason for one in colour.predict_batch([b""] * 5, 2)] == ["an empty file"] * 5
    assert list(colour.predict_batch([])) == []


@pytest.mark.parametrize("ahead", [0, 1])
def test_images_are_taken_as_they_are_needed_so_that_a_stream_needs_no_end(
    colour, picture, monkeypatch, ahead
):
    monkeypatch.setattr(module, "_max_pending_batches", lambda device: ahead)
    taken = []

    def stream():
        for number in count():
            taken.append(number)
            yield picture(number % 5)

    answers = list(islice(colour.predict_batch(stream(), batch_size=3), 7))
    assert len(taken) == 9 + 3 * ahead
    assert np.allclose(answers[0].logits, answers[5].logits, atol=1e-6)
    assert not np.allclose(answers[0].logits, answers[1].logits, atol=1e-6)
    whole = colour.predict_batch(map(picture, range(8)), batch_size=3)
    assert [answer.image for answer in whole] == [f"image {n}" for n in range(8)]


@pytest.mark.parametrize("wrong", [[1, 2], None, 3.0, ("a.png",)])
def test_what_is_no_image_at_all_is_an_error_of_the_caller(colour, wrong):
    with pytest.raises(TypeError, match="need an image's path, its bytes, an image of Pillow or"):
        colour.predict(wrong)


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
def test_an_array_of_another_form_is_refused_with_its_form(colour, pixels):
    with pytest.raises(ValueError, match=r"need uint8 or uint16 of shape .* of shape"):
        colour.predict(pixels)


def test_the_resampling_of_the_preparation_is_used(colour, picture):
    large = picture(4, (40, 40))
    cubic = Classifier(colour.network, replace(colour.preparation, interpolation="bicubic"), "cpu")
    resized = np.asarray(large.resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(cubic.predict(large).logits, colour.predict(resized).logits)
    assert not np.array_equal(cubic.predict(large).logits, colour.predict(large).logits)


def test_classes_without_names_are_numbers(colour, picture):
    nameless = Classifier(colour.network, replace(colour.preparation, class_names=()), "cpu")
    assert {one.class_name for one in nameless.predict(picture(0)).top()} == {"0", "1", "2"}


def test_an_answer_that_is_no_number_is_no_answer(colour, picture):
    with torch.no_grad():
        colour.network[2].bias[1] = torch.nan
    (answer,) = colour.predict_batch([picture(0)])
    assert "not a number" in answer.reason


def test_a_network_is_used_in_evaluation_mode_whatever_mode_it_came_in(colour, picture):
    before = colour.predict(picture(0)).logits
    colour.network.train()
    assert np.array_equal(
        Classifier(colour.network, colour.preparation, "cpu").predict(picture(0)).logits, before
    )


def test_a_file_that_does_not_say_how_an_image_becomes_the_input_is_refused(tmp_path):
    network = build_model(baseline("mobilenet_v2", width=0.1, num_classes=3))
    path = write_network(tmp_path / "n.safetensors", network)
    with pytest.raises(WeightsError, match=r"n\.safetensors: need a preparation"):
        Classifier.read(path, "cpu")


@pytest.mark.parametrize("name", ["stored", "pixels"])
def test_a_preparation_of_absurd_size_is_refused_before_it_takes_memory(colour, name):
    absurd = replace(colour.preparation, **{name: 100_000})
    with pytest.raises(WeightsError, match=f"at most 8192 pixels per side, got .*{name}=100000"):
        Classifier(colour.network, absurd, "cpu")


def test_what_a_folder_refuses_passes_through_in_its_place(colour, tmp_path, picture):
    picture(1).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/null")
    first, second = colour.predict_batch(image_paths([tmp_path]))
    assert first.image == str(tmp_path / "a.png")
    assert second.image == str(tmp_path / "b.png")
    assert "a link that leads out of the folder" in second.reason


def test_the_public_name_is_this_class():
    assert scalesearch.Classifier is Classifier
