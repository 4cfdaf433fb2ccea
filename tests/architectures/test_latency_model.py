import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.latency_model import (
    COEFFICIENT_FIELDS,
    LatencyModel,
    latency_document,
    read_latency_model,
)
from scalesearch.architectures.scaled import scale
from scalesearch.errors import ArchitectureError
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import ROUNDINGS

MODEL = LatencyModel(
    seconds_per_mac=2e-11,
    seconds_per_activation=3e-9,
    seconds_per_block=1e-4,
    overhead_seconds=1e-3,
    batch_size=4,
)
B0 = efficientnet_b0()
FREE = dict.fromkeys(COEFFICIENT_FIELDS, 0.0)
seconds = st.floats(0, 1e-3)


@given(st.lists(seconds, min_size=4, max_size=4), st.integers(1, 64), st.sampled_from([1, 1.4, 2]))
def test_latency_is_linear_in_what_is_paid_for(paid, batch_size, by):
    network = scale(B0, Multipliers(by, by, by), ROUNDINGS["even"])
    spent = cost(network)
    model = LatencyModel(
        **dict(zip(COEFFICIENT_FIELDS, paid, strict=True)) | {"seconds_per_mac": 1e-10}
    )
    model = replace(model, batch_size=batch_size)
    assert model.predicted_seconds(network) == pytest.approx(
        batch_size * (1e-10 * spent.macs + paid[1] * spent.activations)
        + paid[2] * network.num_blocks
        + paid[3]
    )


def test_every_price_is_paid_for_by_its_own_part():
    own = cost(B0)
    parts = {
        "seconds_per_mac": own.macs,
        "seconds_per_activation": own.activations,
        "seconds_per_block": B0.num_blocks,
        "overhead_seconds": 1,
    }
    cheapest = FREE | {"seconds_per_mac": 1e-30}
    for name, part in parts.items():
        found = LatencyModel(**{**cheapest, name: 1e-6}).predicted_seconds(B0)
        assert found == pytest.approx(1e-6 * part)


@pytest.mark.parametrize(
    "bad",
    [
        {"seconds_per_block": -1e-9},
        {"overhead_seconds": float("nan")},
        {"seconds_per_mac": "fast"},
        {"batch_size": 0},
        {"threads": 1.5},
        {"median_error": "small"},
        FREE,
    ],
)
def test_a_model_that_cannot_be_is_refused_by_name(bad):
    with refused(ValueError):
        replace(MODEL, **bad)


# Files


def test_a_written_model_is_read_back_the_same(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps(latency_document(MODEL, [])))
    assert read_latency_model(tmp_path / "model.json") == MODEL


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[]",
        '{"latency": {"prize": 1}}',
        '{"latency": {}}',
        json.dumps({"latency": asdict(MODEL) | {"threads": 0}}),
    ],
)
def test_a_file_that_holds_no_model_is_refused_with_the_reason(tmp_path, text):
    path = tmp_path / "model.json"
    if text is not None:
        path.write_text(text)
    with refused(ArchitectureError):
        read_latency_model(path)
