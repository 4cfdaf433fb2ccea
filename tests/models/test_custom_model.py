"""Custom models: cost, permission to run code, and errors."""

import sys
from dataclasses import replace

import pytest
import torch
from refusals import refused
from torch.utils.flop_counter import FlopCounterMode

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint, from_json, to_json
from scalesearch.architectures.scaled import scale
from scalesearch.candidates.budget import Budget, CostLimits
from scalesearch.candidates.iso_cost import StuckAxisWarning, iso_cost_set, nominal_candidate
from scalesearch.errors import ArchitectureError
from scalesearch.families.members import family
from scalesearch.models import custom_model as counting
from scalesearch.models.custom_model import build_custom_model, code_allowed
from scalesearch.models.network import build_model
from scalesearch.scaling.coefficients import Coefficients, Multipliers
from scalesearch.scaling.rounding import ROUNDINGS

PLAIN = CustomModel(
    factory="experiments.baselines.plain_cnn:factory", resolution=20, in_channels=1, num_classes=10
)

FACTORIES = """
import torch
from torch import nn

def network(depth, width, resolution, num_classes):
    channels = round(8 * width)
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.Flatten(1), nn.LazyLinear(num_classes))

STRIDE = 1

def plain(depth, width, resolution, num_classes):
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(round(8 * width), num_classes))
    return nn.Sequential(nn.Conv2d(3, round(8 * width), 3, STRIDE), *pooled)

def reads_values(depth, width, resolution, num_classes):
    rates = [rate.item() for rate in torch.linspace(0, 0.2, 3)]
    return plain(depth, width, resolution, num_classes)

class Branching(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner(images if images.sum() > 0 else images + 1)

def branches(depth, width, resolution, num_classes):
    return Branching(plain(depth, width, resolution, num_classes))

def fails(depth, width, resolution, num_classes):
    raise RuntimeError("no such layer")

def fails_forward(depth, width, resolution, num_classes):
    return nn.Sequential(nn.Conv2d(5, 8, 3), nn.Flatten(), nn.Linear(8, num_classes))

def wrong_classes(depth, width, resolution, num_classes):
    return plain(depth, width, resolution, num_classes + 1)

def no_module(depth, width, resolution, num_classes):
    return "a network"

def misnamed(d, w, r, n):
    return plain(d, w, r, n)

number = 3
"""


@pytest.fixture
def factory(tmp_path, monkeypatch):
    """A network of the factories above, by name; nothing is kept beyond the test."""
    (tmp_path / "their_factories.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name, **asked: CustomModel(
        **{"factory": f"their_factories:{name}", "resolution": 8, "num_classes": 4, **asked}
    )
    sys.modules.pop("their_factories", None)


@pytest.fixture(scope="module", autouse=True)
def shared_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    counting._inspect.cache_clear()
    yield tmp_path / "cache" / "scalesearch" / "counts"
    counting._inspect.cache_clear()


def counted(network):
    module = build_model(network).eval()
    shape = (1, network.in_channels, network.resolution, network.resolution)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(shape))
    return counter.get_total_flops() / 2, sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("multipliers", [(1, 1, 1), (1.5, 1.2, 1.3), (0.5, 0.7, 0.8)])
def test_a_custom_model_costs_half_of_torchs_flop_count(multipliers):
    network = scale(PLAIN, Multipliers(*multipliers), ROUNDINGS["even"])
    with code_allowed():
        assert (cost(network).macs, cost(network).params) == counted(network)


def test_activations_are_the_outputs_of_convolutions_and_linear_layers(factory):
    with code_allowed():
        assert cost(factory("plain")).activations == 8 * 6 * 6 + 4


def test_code_does_not_run_where_it_is_not_allowed(factory):
    for action in (cost, fingerprint, build_model, build_custom_model):
        with refused(ArchitectureError):
            action(factory("plain"))
    with code_allowed(False), refused(ArchitectureError):
        cost(factory("plain"))
    assert "their_factories" not in sys.modules


def test_permission_ends_with_its_block(factory):
    with code_allowed():
        cost(factory("plain"))
    with refused(ArchitectureError):
        cost(factory("plain"))


@pytest.mark.parametrize("name", ["reads_values", "branches"])
def test_code_that_needs_values_is_made_or_counted_on_the_cpu(factory, name):
    with code_allowed():
        assert cost(factory(name)) == cost(factory("plain"))


@pytest.mark.parametrize(
    "name",
    [
        "fails",
        "fails_forward",
        "wrong_classes",
        "no_module",
        "misnamed",
        "number",
        "missing",
    ],
)
def test_errors_of_the_code_name_the_factory(factory, name):
    with code_allowed(), refused(ArchitectureError):
        cost(factory(name))


def test_a_missing_module_is_named():
    with code_allowed(), refused(ArchitectureError):
        cost(CustomModel(factory="nowhere:factory"))


def test_multipliers_that_give_the_same_network_give_the_same_name(factory):
    with code_allowed():
        assert fingerprint(factory("plain", width=1.01)) == fingerprint(factory("plain"))
        others = ({"width": 1.2}, {"resolution": 9}, {"num_classes": 5})
        assert len({fingerprint(factory("plain", **other)) for other in others}) == 3


def test_another_stride_is_another_network_though_its_parameters_are_the_same(factory, own_cache):
    with code_allowed():
        one = fingerprint(factory("plain")), cost(factory("plain"))
        counting._inspect.cache_clear()
        sys.modules["their_factories"].STRIDE = 2
        other = fingerprint(factory("plain")), cost(factory("plain"))
    assert one[0] != other[0]
    assert one[1].macs > other[1].macs


def test_a_count_is_stored_and_a_changed_source_is_counted_again(factory, own_cache, monkeypatch):
    network = factory("plain")
    with code_allowed():
        first = cost(network)
        assert first.macs > 0
        assert len(list(own_cache.iterdir())) == 1
        counting._inspect.cache_clear()
        monkeypatch.setattr(counting, "_count_cost", lambda *_: pytest.fail("counted twice"))
        assert cost(network) == first
        counting._inspect.cache_clear()
        monkeypatch.setattr(counting, "_count_cost", lambda *_: replace(first, macs=1))
        monkeypatch.setattr(counting, "_file_hash", lambda file: b"another")
        assert cost(network).macs == 1
        assert len(list(own_cache.iterdir())) == 2


def test_only_the_seed_decides_the_weights_and_the_callers_stream_stays(factory):
    with code_allowed():
        torch.manual_seed(3)
        expected = torch.rand(2)
        torch.manual_seed(3)
        one, same, other = (
            build_custom_model(factory("plain"), seed)[0].weight for seed in (1, 1, 2)
        )
        assert torch.equal(torch.rand(2), expected)
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


def test_a_custom_model_survives_json():
    network = CustomModel(factory="a.b:c", depth=1.25, resolution=33, num_classes=10)
    assert from_json(to_json(network)) == network


@pytest.mark.parametrize(
    "given",
    [
        {"factory": "no-module"},
        {"factory": "a:b", "depth": 0.0},
        {"factory": "a:b", "width": float("nan")},
        {"factory": "a:b", "resolution": 0},
    ],
)
def test_impossible_arguments_of_a_custom_model_are_refused(given):
    with refused(ValueError):
        CustomModel(**given)


@pytest.mark.filterwarnings("ignore::scalesearch.candidates.iso_cost.StuckAxisWarning")
@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_the_iso_cost_set_is_distinct_and_matched_and_built_by_its_own_multipliers(factor):
    budget = Budget(factor=factor, tolerance=0.05)
    with code_allowed():
        found = iso_cost_set(PLAIN, budget)
        assert len(found) > 12
        assert len({candidate.fingerprint for candidate in found}) == len(found)
        for candidate in found:
            assert counted(candidate.architecture)[0] / cost(PLAIN).macs == candidate.factor
            assert budget.is_met_by(candidate.factor)
            again = nominal_candidate(PLAIN, candidate.multipliers, budget)
            assert again.fingerprint == candidate.fingerprint
    for axis in ("depth", "width", "resolution"):
        assert max(getattr(candidate.shares, axis) for candidate in found) > 0.9


def test_limits_and_bounds_hold_for_code_too():
    budget = Budget(tolerance=0.05, limits=CostLimits(params=1.4), max_resolution=26)
    with code_allowed():
        most = 1.4 * cost(PLAIN).params
        with pytest.warns(StuckAxisWarning, match="params at most 1.4x, at most 26 px"):
            found = iso_cost_set(PLAIN, budget)
    assert all(candidate.cost.params <= most for candidate in found)
    assert all(candidate.architecture.resolution <= 26 for candidate in found)


def test_a_parameter_budget_does_not_change_the_pixels():
    with code_allowed():
        found = iso_cost_set(PLAIN, Budget(measure="params", tolerance=0.05))
    assert {candidate.architecture.resolution for candidate in found} == {20}


def test_budgets_that_code_cannot_meet_are_refused():
    with code_allowed():
        with refused(ArchitectureError):
            iso_cost_set(PLAIN, Budget(factor=1e6))
        with refused(ArchitectureError):
            iso_cost_set(PLAIN, Budget(tolerance=1e-7))


def test_multipliers_that_change_nothing_give_no_candidate():
    with code_allowed(), refused(ArchitectureError):
        nominal_candidate(PLAIN, Multipliers(1.001, 1.001, 1.001), Budget())


def test_a_matched_family_of_custom_models_meets_its_costs():
    with code_allowed():
        baseline = replace(PLAIN, resolution=32)
        members = family(Coefficients(1.2, 1.1, 1.15), baseline, phis=(-1, 0, 1, 2))
    for member in members:
        assert abs(member.factor / 2**member.phi - 1) <= 0.02
        assert member.deviation < 0.25
    assert members[1].architecture == baseline
