import pytest
from refusals import refused

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.errors import ArchitectureError


def test_a_baseline_by_name_is_the_function_of_that_name():
    assert baseline("efficientnet_b0", width=0.25) == efficientnet_b0(width=0.25)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_takes_the_options_of_small_proxies(name):
    proxy = baseline(
        name, width=0.5, depth=0.5, resolution=32, stem_stride=1, in_channels=1, num_classes=10
    )
    assert proxy.num_blocks < baseline(name).num_blocks
    assert sum(proxy.widths) < sum(baseline(name).widths)  # heads may be fixed
    assert (proxy.resolution, proxy.stem_stride) == (32, 1)
    assert (proxy.in_channels, proxy.num_classes) == (1, 10)


def test_b0_has_the_stages_of_the_papers_table():
    b0 = efficientnet_b0()
    assert b0.repeats == (1, 2, 2, 3, 3, 4, 1)
    assert b0.widths == (32, 16, 24, 40, 80, 112, 192, 320, 1280)
    assert b0.total_stride == 32


def test_a_quarter_of_b0_keeps_at_least_eight_channels_and_every_stage():
    quarter = efficientnet_b0(width=0.25, depth=0.25)
    assert quarter.widths == (8, 8, 8, 16, 24, 32, 48, 80, 320)
    assert quarter.repeats == (1,) * 7


def test_an_unknown_name_is_refused_with_the_nearest_and_all_known():
    with refused(ArchitectureError):
        baseline("eficientnet_b0")


@pytest.mark.parametrize(
    "bad",
    [
        {"width": 0},
        {"depth": -1},
        {"resolution": 0},
    ],
)
def test_an_option_out_of_range_is_refused_with_the_baselines_name(bad):
    with refused(ArchitectureError):
        baseline("efficientnet_b0", **bad)
