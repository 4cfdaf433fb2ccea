"""Networks as Python files that need only torch, load the weights and give the same logits."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from refusals import refused

from scalesearch.architectures.baselines import BASELINES, baseline
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.data.preparation import Preparation
from scalesearch.deploy.export.standalone.files import Exportable, write_script
from scalesearch.deploy.export.standalone.lines import BLOCK_WRITERS
from scalesearch.deploy.export.standalone.script import python_script_text
from scalesearch.deploy.pretrained.from_source import imagenet_classes
from scalesearch.errors import ExportError
from scalesearch.families.members import family_document, write_family
from scalesearch.models.blocks import BLOCKS
from scalesearch.models.network import NetworkOptions, build_model
from scalesearch.scaling.published import PAPER_COEFFICIENTS
from scalesearch.training.network_file import read_network, write_network

LARGER_BASELINES = ("resnet34", "resnet101", "resnet152", "densenet169", "densenet201")
"""Baselines with the same blocks as smaller ones."""

SMALL = Architecture(
    stem=8,
    stages=(
        Stage(repeats=1, width=8),
        Stage(repeats=2, width=12, stride=2, expansion=4, kernel=5),
        Stage(repeats=2, width=20, stride=2, expansion=4, squeeze=0, activation="relu"),
        Stage(repeats=2, width=20, expansion=2, block="fused_mbconv"),
    ),
    head=40,
    resolution=33,
    num_classes=3,
)
PREPARATION = Preparation(
    pixels=33,
    stored=40,
    zoom=40 / 33,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.3, 0.4),
    class_names=("cat", "dog", 'a "quoted"\nname'),
)


def network_with_random_norms(architecture, **options):
    """A network with random norms, so that every setting of norms has an effect."""
    torch.manual_seed(0)
    network = build_model(architecture, **options).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "norm" in name and tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return network


def random_images(architecture):
    pixels = architecture.resolution
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, architecture.in_channels, pixels, pixels, generator=generator)


def run_script(text):
    namespace = {"__name__": "standalone"}
    exec(compile(text, "standalone", "exec"), namespace)
    return namespace


@pytest.fixture
def saved_network(tmp_path):
    """A network that was written to a file and read again, as before an export."""
    network = network_with_random_norms(SMALL, dropout=0.2, drop_connect=0.1, norm_eps=0.01)
    path = write_network(tmp_path / "small.safetensors", network, PREPARATION, name="small")
    return read_network(path)


@pytest.mark.parametrize(
    ("name", "padding"),
    [
        *((name, "half") for name in BASELINES if name not in LARGER_BASELINES),
        *((name, "same") for name in ("efficientnet_b0", "efficientnetv2_b0", "resnet18")),
    ],
)
def test_the_script_of_every_baseline_gives_the_same_logits(name, padding):
    # Of an even number of pixels TensorFlow pads one side more than the other.
    pixels = 40 if padding == "same" else 33
    network = baseline(name, width=0.25, resolution=pixels, num_classes=5)
    our_network = network_with_random_norms(network, padding=padding, norm_eps=0.02)
    script_network = run_script(python_script_text(name, network, our_network.options))["network"]()
    script_network.load_state_dict(our_network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(
            script_network.eval()(random_images(network)), our_network(random_images(network))
        )


def test_the_script_supports_every_block_type_and_refuses_others(monkeypatch):
    assert set(BLOCK_WRITERS) == set(BLOCKS)
    stages = (Stage(repeats=1, width=8, squeeze=0, block="conv"),)
    monkeypatch.delitem(BLOCK_WRITERS, "conv")
    with refused(ExportError):
        python_script_text("n", replace(SMALL, stages=stages), NetworkOptions())


def test_the_script_needs_only_torch_and_loads_the_weights(saved_network, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    exportable = Exportable(
        "small", saved_network.architecture, saved_network.network.options, saved_network
    )
    path, weights = write_script(exportable, out)
    assert (path.name, weights.name) == ("small.py", "small.safetensors")
    program = f"""
import runpy, sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("scalesearch", "safetensors"):
            raise ImportError(f"{{name}} is not to be needed")

sys.meta_path.insert(0, Refusing())
import torch
torch.manual_seed(0)
found = runpy.run_path({str(path)!r}, run_name="standalone")
model = found["network"]({str(weights)!r}).eval()
images = torch.load({str(tmp_path / "images.pt")!r})
torch.save((model(images), found["MEAN"], found["CLASSES"]), {str(tmp_path / "logits.pt")!r})
"""
    torch.save(random_images(SMALL), tmp_path / "images.pt")
    process = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    logits, mean, classes = torch.load(tmp_path / "logits.pt")
    torch.testing.assert_close(logits, saved_network.network(random_images(SMALL)))
    assert logits.std() > 1e-3
    assert mean == PREPARATION.mean
    assert classes == PREPARATION.class_names


def test_the_script_describes_the_preparation_and_runs(saved_network, tmp_path):
    text = python_script_text(
        "small", SMALL, saved_network.network.options, PREPARATION, "small.safetensors"
    )
    text_in_one_line = " ".join(text.split())
    assert (
        "resize it to 40 pixels (bilinear), cut 33 pixels from its centre, divide"
        in text_in_one_line
    )
    assert 'model = network("small.safetensors").eval()' in text
    assert max(map(len, text.splitlines())) <= 100
    script_network = run_script(text)["network"](str(tmp_path / "small.safetensors"))
    assert script_network.dropout.p == 0.2
    assert script_network.stages[1][1].drop_connect.rate == pytest.approx(0.1 * 2 / 7)


def test_names_in_a_network_file_never_become_code(tmp_path):
    name = 'x"""\nimport os; os.abort()\n"""'
    with refused(ValueError):
        python_script_text(name, SMALL, NetworkOptions())
    hostile_preparation = replace(PREPARATION, class_names=('")\nraise SystemExit', "b", "\\"))
    namespace = run_script(
        python_script_text("small", SMALL, NetworkOptions(), hostile_preparation)
    )
    assert namespace["CLASSES"] == hostile_preparation.class_names


def test_long_class_names_are_not_changed_by_line_breaks():
    for class_names in (imagenet_classes(), ("two  blanks", "x" * 95 + "  y", "a\tb ", "\udc80 c")):
        preparation = replace(PREPARATION, class_names=class_names)
        text = python_script_text("small", SMALL, NetworkOptions(), preparation)
        assert run_script(text)["CLASSES"] == class_names


def test_a_script_with_other_logits_is_refused_and_not_written(
    saved_network, tmp_path, monkeypatch
):
    from scalesearch.deploy.export.standalone import files

    original_function = files.python_script_text
    monkeypatch.setattr(
        files,
        "python_script_text",
        lambda *arguments: original_function(*arguments).replace(
            "NORM_EPS = 0.01", "NORM_EPS = 0.5"
        ),
    )
    exportable = Exportable(
        "small", saved_network.architecture, saved_network.network.options, saved_network
    )
    with refused(ExportError):
        write_script(exportable, tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))


def test_a_custom_model_cannot_be_written_as_a_script(tmp_path):
    exportable = Exportable("own", CustomModel(factory="own:make", resolution=32), NetworkOptions())
    with refused(ExportError):
        write_script(exportable, tmp_path)


def test_export_writes_scripts_for_all_members_of_a_family_or_one(run, tmp_path):
    small = baseline("efficientnet_b0", width=0.25, resolution=64)
    document = family_document(PAPER_COEFFICIENTS, small, mode="exact", phis=(0, 1))
    family = write_family(tmp_path / "family.json", document)
    code, out, err = run("export", family, "--format", "python", "--out", tmp_path / "all")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["b0.py", "b1.py"]
    assert "run; the same tensors, no weights" in " ".join(out.split())
    assert "dropout: float = 0.2" in (tmp_path / "all" / "b0.py").read_text()
    run("export", f"{family}:b1", "--format", "python", "--out", tmp_path / "one")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["b1.py"]


def test_export_writes_a_script_and_its_weights(run, saved_network, tmp_path):
    source, out = tmp_path / "small.safetensors", tmp_path / "out"
    code, output, _ = run("export", source, "--format", "python", "--out", out)
    assert code == 0
    assert "run; the same logits" in " ".join(output.split())
    assert sorted(path.name for path in out.iterdir()) == ["small.py", "small.safetensors"]
    torch.testing.assert_close(
        read_network(out / "small.safetensors").network.state_dict(),
        saved_network.network.state_dict(),
    )


def test_export_into_the_folder_of_the_weights_keeps_them(run, saved_network, tmp_path):
    source = tmp_path / "small.safetensors"
    content_before = source.read_bytes()
    assert run("export", source, "--format", "python", "--out", tmp_path)[0] == 0
    assert source.read_bytes() == content_before


def test_export_of_a_baseline_script_needs_no_weights(run, tmp_path):
    code, _, _ = run("export", "mobilenet_v2", "--format", "python", "--out", tmp_path)
    assert code == 0
    assert (tmp_path / "mobilenet_v2.py").is_file()
