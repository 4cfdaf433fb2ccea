"""What may be frozen, until when, and what a recipe refuses of it."""

import pytest
from refusals import refused

from scalesearch.config.recipe import Recipe
from scalesearch.config.transfer_spec import Transfer, UnfreezeStep, part_names, parts_from_words


def test_the_parts_of_a_network_have_names_from_the_image_on():
    assert part_names(2) == ("stem", "stage1", "stage2", "head", "classifier")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["stem", "stage2"], {"stem", "stage2"}),
        (["stage2..3"], {"stage2", "stage3"}),
        (["2"], {"stem", "stage1", "stage2"}),
        (["all-but-head"], {"stem", "stage1", "stage2", "stage3", "head"}),
        (["all"], {"stem", "stage1", "stage2", "stage3", "head", "classifier"}),
        (["head", "classifier"], {"head", "classifier"}),
        ([], set()),
    ],
)
def test_words_name_parts(words, named):
    assert parts_from_words(words, 3) == named


def test_what_is_frozen_shrinks_epoch_by_epoch():
    transfer = Transfer(
        freeze=("all-but-head",),
        unfreeze=(
            UnfreezeStep(epoch=3, parts=("stage2", "head")),
            UnfreezeStep(epoch=6, parts=("all",)),
        ),
    )
    assert [sorted(transfer.frozen_parts(epoch, 2)) for epoch in (1, 2, 3, 5, 6, 9)] == [
        ["head", "stage1", "stage2", "stem"],
        ["head", "stage1", "stage2", "stem"],
        ["stage1", "stem"],
        ["stage1", "stem"],
        [],
        [],
    ]


@pytest.mark.parametrize(
    "bad",
    [
        {"freeze": ("stage",)},
        {"freeze": ("stage0",)},
        {"freeze": ("0",)},
        {"freeze": ("stage3..1",)},
        {"body_rate": 0.0},
        {"body_rate": 2.0},
        {"unfreeze": (UnfreezeStep(epoch=2, parts=("all",)),)},
        {
            "freeze": ("1",),
            "unfreeze": tuple(UnfreezeStep(epoch=at, parts=("1",)) for at in (3, 2)),
        },
    ],
)
def test_a_transfer_that_means_nothing_is_refused(bad):
    with refused(ValueError):
        Transfer(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"epoch": 1, "parts": ("all",)},
        {"epoch": 2, "parts": ()},
        {"epoch": 2, "parts": ("tail",)},
    ],
)
def test_an_unfreezing_needs_a_later_epoch_and_parts(bad):
    with refused(ValueError):
        UnfreezeStep(**bad)


def test_what_is_unfrozen_after_the_end_is_refused():
    late = Transfer(freeze=("1",), unfreeze=(UnfreezeStep(epoch=4, parts=("all",)),))
    with refused(ValueError):
        Recipe(epochs=3, transfer=late)
    assert Recipe(epochs=4, transfer=late).transfer is late


@pytest.mark.parametrize(
    ("transfer", "problem"),
    [
        (
            Transfer(freeze=("stage3", "stage1")),
            "freeze: need stages of the 2 there are, got stage3",
        ),
        (Transfer(freeze=("3",)), "freeze: need stages of the 2 there are, got 3"),
        (
            Transfer(freeze=("2",), unfreeze=(UnfreezeStep(epoch=2, parts=("stage1..4",)),)),
            "unfreeze: need stages of the 2 there are, got stage1..4",
        ),
        (Transfer(freeze=("all",)), "freeze: need a part that moves in the first epoch, got all"),
        (
            Transfer(freeze=("stem",), unfreeze=(UnfreezeStep(epoch=2, parts=("head",)),)),
            "unfreeze: need a part that is still frozen then, got head at epoch 2",
        ),
    ],
)
def test_a_network_has_to_have_the_parts(transfer, problem):
    assert list(transfer.problems(2)) == [problem]


def test_a_transfer_that_fits_the_network_has_no_problems():
    fitting = Transfer(freeze=("2",), unfreeze=(UnfreezeStep(epoch=2, parts=("stage2", "head")),))
    assert list(fitting.problems(2)) == []
