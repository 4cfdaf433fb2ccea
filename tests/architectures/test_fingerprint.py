import json
import os
import subprocess
import sys
from dataclasses import dataclass, fields, replace

import pytest

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.fingerprint import fingerprint, from_json, to_json
from scalesearch.architectures.stages import Architecture, Stage

B0 = efficientnet_b0()
PROXY = efficientnet_b0(width=0.25, resolution=32, stem_stride=1)

# Old results are found by these: a change here orphans them.
GOLDEN = {"d3686b216492ac68": B0, "bf90b63fb71daadf": PROXY}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_fingerprint_is_what_it_always_was(name):
    assert fingerprint(GOLDEN[name]) == name


def test_another_process_with_another_hash_seed_finds_the_same():
    program = (
        "from scalesearch.architectures.baselines.efficientnet import efficientnet_b0; from "
        "scalesearch.architectures.fingerprint import fingerprint;"
        "print(fingerprint(efficientnet_b0()), hash('a string'))"
    )
    runs = {
        tuple(
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
                timeout=300,
            ).stdout.split()
        )
        for seed in ("1", "2")
    }
    assert {name for name, _ in runs} == {fingerprint(B0)}
    assert len(runs) == 2  # the seeds did differ


@pytest.mark.parametrize(
    "changed",
    [
        {"stem": 40},
        {"head": 1281},
        {"resolution": 225},
        {"stem_stride": 1},
        {"stem_kernel": 5},
        {"in_channels": 1},
        {"num_classes": 10},
        {"activation": "relu"},
        {"stages": B0.stages[:-1]},
        {"stages": (replace(B0.stages[0], squeeze=0), *B0.stages[1:])},
        {"stages": B0.stages[::-1]},
    ],
)
def test_every_difference_between_networks_shows(changed):
    assert fingerprint(replace(B0, **changed)) != fingerprint(B0)


def test_where_widths_were_rounded_from_does_not_show():
    assert fingerprint(replace(B0, exact_widths=())) == fingerprint(B0)


def test_defaults_are_left_out_so_that_a_field_added_later_renames_nothing():
    @dataclass(frozen=True, slots=True)
    class Later(Architecture):
        padding: str = "symmetric"

    then = {field.name: getattr(B0, field.name) for field in fields(Architecture) if field.compare}
    assert fingerprint(Later(**then)) == fingerprint(B0)
    assert fingerprint(Later(**then, padding="same")) != fingerprint(B0)
    assert "num_classes" not in to_json(B0)
    assert to_json(Stage(repeats=1, width=16, squeeze=4)) == {"repeats": 1, "width": 16}


@pytest.mark.parametrize("network", [B0, PROXY, replace(B0, activation="relu6", in_channels=1)])
def test_what_was_written_as_json_is_read_back(network):
    text = json.dumps(to_json(network))
    assert from_json(json.loads(text)) == network
    assert fingerprint(from_json(json.loads(text))) == fingerprint(network)
