"""Rows of networks with costs, published accuracies and times."""

import pytest

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.cost import cost
from scalesearch.architectures.totals import Cost
from scalesearch.benchmarking.model_table import (
    DEFAULT_NETWORKS,
    USER_SOURCE,
    comparison_rows,
    published_accuracy,
    released_efficientnet,
)
from scalesearch.benchmarking.timing import NetworkTiming
from scalesearch.models.named import NamedNetwork
from scalesearch.scaling.published import PUBLISHED_ACCURACIES, PUBLISHED_MODELS, TABLE_3


def named_network(name):
    return NamedNetwork(name, released_efficientnet(name) or baseline(name))


def test_the_default_networks_have_costs_and_published_accuracies():
    rows = {
        row["network"]: row
        for row in comparison_rows([named_network(name) for name in DEFAULT_NETWORKS])
    }
    assert list(rows) == list(DEFAULT_NETWORKS)
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


def test_a_published_accuracy_is_given_only_for_the_published_network():
    assert published_accuracy(named_network("resnet50")).top1 == 0.760
    assert (
        published_accuracy(NamedNetwork("mine", baseline("resnet50"))).top1 == 0.760
    )  # whatever it is called
    assert (
        published_accuracy(NamedNetwork("resnet50", baseline("resnet50", resolution=256))) is None
    )
    assert (
        published_accuracy(NamedNetwork("resnet50", baseline("resnet50", num_classes=10))) is None
    )


def test_the_published_tables_agree_with_each_other():
    for row in TABLE_3:
        if row.multipliers is not None and row.multipliers.factor == 1:
            assert PUBLISHED_ACCURACIES[row.baseline].top1 == row.top1
    for name, model in PUBLISHED_MODELS.items():
        if model.top1 is not None:
            assert PUBLISHED_ACCURACIES[f"efficientnet_{name}"].top1 == model.top1


def test_an_accuracy_given_by_the_user_is_marked_as_such():
    (row,) = comparison_rows([named_network("resnet18")])
    assert (row["top1"], row["source"]) == (None, None)
    (row,) = comparison_rows([named_network("resnet18")], top1={"resnet18": 0.7})
    assert (row["top1"], row["source"]) == (0.7, USER_SOURCE)
    assert Cost(row["macs"], row["params"], row["activations"]) == cost(baseline("resnet18"))


def test_rows_contain_eager_times_where_they_were_measured():
    timings = [
        NetworkTiming("resnet18", 4, "graph", 10, 0.5, ratio=1.0),
        NetworkTiming("resnet18", 4, "eager", 10, 2.0, ratio=3.0),
    ]
    first, second = comparison_rows(
        [named_network("resnet18"), named_network("resnet34")], timings=timings
    )
    assert (first["batch_size"], first["seconds"], first["ratio"]) == (4, 2.0, 3.0)
    assert first["images_per_second"] == 2.0
    assert (second["batch_size"], second["seconds"]) == (None, None)


@pytest.mark.parametrize("name", ["efficientnet_b3", "efficientnet-b3"])
def test_a_released_efficientnet_is_found_by_its_name(name):
    network = released_efficientnet(name)
    assert (network.resolution, cost(network).params) == (300, 12_233_232)
    assert released_efficientnet("efficientnet_b9") is None
    assert released_efficientnet("resnet50") is None
