"""Networks beside each other: rows with costs, printed accuracies and times."""

import pytest

from scalesearch.architectures import Cost, baseline, cost
from scalesearch.compared import DEFAULT, GIVEN, comparison, printed, released
from scalesearch.latency import Timed
from scalesearch.nets import Entry
from scalesearch.published import PRINTED, PUBLISHED, TABLE_3


def entry(name):
    return Entry(name, released(name) or baseline(name))


def test_the_default_networks_have_their_costs_and_their_printed_accuracy():
    rows = {row["network"]: row for row in comparison([entry(name) for name in DEFAULT])}
    assert list(rows) == list(DEFAULT)
    assert {name: row["top1"] for name, row in rows.items()} == {
        "resnet50": 0.760,
        "resnet152": 0.778,
        "densenet169": 0.762,
        "mobilenet_v2": 0.720,
        "efficientnet_b0": 0.771,
        "efficientnet_b1": 0.791,
        "efficientnet_b7": 0.843,
    }
    assert all("arXiv" in row["source"] for row in rows.values())
    b7 = rows["efficientnet_b7"]
    assert (b7["resolution"], b7["params"], b7["macs"]) == (600, 66_347_960, 37_745_884_192)
    assert rows["densenet169"]["params"] == 14_149_480
    assert "seconds" not in b7


def test_an_accuracy_belongs_to_exactly_the_network_that_was_published():
    assert printed(entry("resnet50")).top1 == 0.760
    assert printed(Entry("mine", baseline("resnet50"))).top1 == 0.760  # whatever it is called
    assert printed(Entry("resnet50", baseline("resnet50", resolution=256))) is None
    assert printed(Entry("resnet50", baseline("resnet50", num_classes=10))) is None


def test_the_tables_of_one_paper_agree():
    for row in TABLE_3:
        if row.multipliers is not None and row.multipliers.factor == 1:
            assert PRINTED[row.baseline].top1 == row.top1
    for name, model in PUBLISHED.items():
        if model.top1 is not None:
            assert PRINTED[f"efficientnet_{name}"].top1 == model.top1


def test_an_accuracy_may_be_given_and_is_said_to_be():
    (row,) = comparison([entry("resnet18")])
    assert (row["top1"], row["source"]) == (None, None)
    (row,) = comparison([entry("resnet18")], top1={"resnet18": 0.7})
    assert (row["top1"], row["source"]) == (0.7, GIVEN)
    assert Cost(row["macs"], row["params"], row["activations"]) == cost(baseline("resnet18"))


def test_times_stand_beside_what_was_timed_eagerly_and_nothing_beside_the_rest():
    timed = [
        Timed("resnet18", 4, "graph", 10, 0.5, ratio=1.0),
        Timed("resnet18", 4, "eager", 10, 2.0, ratio=3.0),
    ]
    first, second = comparison([entry("resnet18"), entry("resnet34")], timed=timed)
    assert (first["batch_size"], first["seconds"], first["ratio"]) == (4, 2.0, 3.0)
    assert first["images_per_second"] == 2.0
    assert (second["batch_size"], second["seconds"]) == (None, None)


@pytest.mark.parametrize("name", ["efficientnet_b3", "efficientnet-b3"])
def test_a_released_efficientnet_goes_by_its_name(name):
    network = released(name)
    assert (network.resolution, cost(network).params) == (300, 12_233_232)
    assert released("efficientnet_b9") is None
    assert released("resnet50") is None
