"""The laws of drawing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from scalesearch.config.experiment import DataSpec
from scalesearch.data.collection import Collection, draw_splits, proportional_quotas

COUNTS = st.lists(st.integers(2, 40), min_size=2, max_size=6)


def collection(counts: list[int]) -> Collection:
    labels = np.repeat(np.arange(len(counts)), counts)
    return Collection(
        where="here",
        images=np.zeros((len(labels), 1, 2, 2), dtype=np.uint8),
        labels=labels,
        names=tuple(map(str, range(len(labels)))),
        parts=("train",) * len(labels),
        class_names=tuple(map(str, range(len(counts)))),
        allows_flip=True,
    )


@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=8), share=st.floats(0, 1))
def test_quotas_are_whole_proportions(counts, share):
    counts = np.array(counts)
    total = round(share * counts.sum())
    quotas = proportional_quotas(counts, total)
    exact = counts * total / max(counts.sum(), 1)
    assert quotas.sum() == total
    assert (quotas <= counts).all()
    assert (np.abs(quotas - exact) < 1).all()


def test_quotas_beyond_what_there_is_are_refused():
    with refused(ValueError):
        proportional_quotas(np.array([2, 3]), 6)


@given(counts=COUNTS, seed=st.integers(0, 9))
def test_every_image_is_drawn_once_and_every_class_is_trained(counts, seed):
    images = collection(counts)
    rows = draw_splits(images, DataSpec(), seed)
    drawn = np.concatenate([rows.train, rows.validation, rows.test])
    assert sorted(drawn) == list(range(sum(counts)))
    assert len(rows.validation) > 0
    assert len(rows.test) > 0
    assert set(images.labels[rows.train]) == set(range(len(counts)))


@given(counts=COUNTS, data=st.data())
def test_validation_of_any_size_leaves_every_class_an_image_to_train_on(counts, data):
    images = collection(counts)
    spare = sum(counts) - len(draw_splits(images, DataSpec(), 0).test) - len(counts)
    size = data.draw(st.integers(1, spare))
    rows = draw_splits(images, DataSpec(validation_samples=size), 0)
    assert len(rows.validation) == size
    assert set(images.labels[rows.train]) == set(range(len(counts)))


@given(counts=COUNTS)
def test_a_sample_has_each_class_where_that_can_be(counts):
    images = collection(counts)
    rows = draw_splits(images, DataSpec(train_samples=len(counts)), 0)
    assert images.labels[rows.train].tolist() == list(range(len(counts)))


def test_an_image_more_leaves_the_order_of_the_others_alone():
    before = draw_splits(collection([50, 50]), DataSpec(), 0).test
    after = draw_splits(collection([50, 51]), DataSpec(), 0).test
    assert set(before) <= set(after)
