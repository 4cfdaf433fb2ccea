import dataclasses
import sys
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.config.experiment import DataSpec
from scalesearch.deploy.export import torch_export as programs
from scalesearch.deploy.export.onnx_files import (
    onnx_logits_function,
    read_onnx_metadata,
    write_onnx,
)
from scalesearch.deploy.export.parity import (
    MAX_LOGIT_DIFFERENCE,
    Parity,
    import_extra,
    require_close_logits,
    require_faithful_predictions,
    require_similar_predictions,
)
from scalesearch.deploy.export.sample_images import load_image_set, torch_logits
from scalesearch.deploy.export.torch_export import read_program, write_program
from scalesearch.errors import ExportError
from scalesearch.models.network import build_model
from scalesearch.training.network_file import SavedNetwork


def images(count, pixels=16, channels=1):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(count, channels, pixels, pixels, generator=generator)


@pytest.fixture(scope="module")
def onnx_file(reader, digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "reader.onnx"
    return path, write_onnx(path, reader, digits)


def test_a_program_answers_batches_of_any_size_as_its_network(reader, digits, tmp_path):
    path = tmp_path / "reader.pt2"
    noise, real = write_program(path, reader, digits)
    assert noise.difference < MAX_LOGIT_DIFFERENCE
    assert (real.images, real.same_fraction) == (64, 1)
    network, told = read_program(path)
    for count in (1, 2, 7):
        torch.testing.assert_close(
            torch_logits(network, images(count)), torch_logits(reader.network, images(count))
        )
    assert told["class_names"] == list("0123456789")
    assert told["preparation"]["mean"] == list(reader.preparation.mean)
    assert [file.name for file in tmp_path.iterdir()] == ["reader.pt2"]


def test_what_is_no_program_is_refused(tmp_path):
    path = tmp_path / "n.pt2"
    path.write_bytes(b"no archive")
    with pytest.raises(ExportError, match=r"n\.pt2: not a whole torch\.export program"):
        read_program(path)


def test_onnx_runtime_answers_as_torch_on_noise_and_on_real_images(onnx_file, reader):
    path, (noise, real) = onnx_file
    assert (noise.images, real.images, real.same_fraction) == (4, 64, 1)
    assert max(noise.difference, real.difference) < MAX_LOGIT_DIFFERENCE
    own, theirs = torch_logits(reader.network, images(5)), onnx_logits_function(path)(images(5))
    np.testing.assert_allclose(theirs, own, atol=1e-4)


def test_an_onnx_file_has_a_free_batch_and_logits_without_softmax(onnx_file):
    model = onnx.load(onnx_file[0])
    batch, *rest = model.graph.input[0].type.tensor_type.shape.dim
    assert (batch.dim_param, [side.dim_value for side in rest]) == ("batch", [1, 16, 16])
    assert [node.name for node in model.graph.output] == ["logits"]
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Softmax", "BatchNormalization"}
    assert b".py" not in model.SerializeToString()  # no paths of the machine that wrote it


def test_an_onnx_file_says_what_it_reads_and_what_it_answers(onnx_file, reader):
    told = read_onnx_metadata(onnx_file[0])
    assert told["class_names"] == list("0123456789")
    assert told["name"] == "reader"
    assert told["preparation"]["std"] == list(reader.preparation.std)
    assert told["architecture"]["stem"] == 8


def test_padding_as_in_tensorflow_and_an_odd_resolution_survive_onnx(tmp_path):
    stage = Stage(block="mbconv", expansion=1, kernel=5, stride=2, width=8, repeats=1, squeeze=0)
    one = Architecture(stem=8, stages=(stage,), head=0, resolution=21, num_classes=3)
    torch.manual_seed(0)
    saved = SavedNetwork(network=build_model(one, padding="same").eval(), architecture=one)
    (noise,) = write_onnx(tmp_path / "n.onnx", saved)
    assert noise.difference < MAX_LOGIT_DIFFERENCE
    assert read_onnx_metadata(tmp_path / "n.onnx")["preparation"] is None


def refused(write):
    with pytest.raises(ExportError, match=r"need logits that differ by at most 0\.0001 .* random"):
        write()
    return True


def test_an_onnx_model_that_answers_otherwise_is_refused_and_leaves_no_file(
    reader, tmp_path, onnx_file
):
    broken = onnx.load(onnx_file[0])
    (bias,) = [t for t in broken.graph.initializer if t.name == "classifier.bias"]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 0.01, bias.name))
    assert refused(lambda: write_onnx(tmp_path / "n.onnx", reader, built_model=broken))
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_answers_otherwise_is_refused_and_leaves_no_file(
    reader, tmp_path, monkeypatch
):
    def broken(network):
        with torch.no_grad():
            network.classifier.bias.add_(0.01)
        return network

    fold = programs.fold_batch_norms
    monkeypatch.setattr(programs, "fold_batch_norms", lambda network: broken(fold(network)))
    assert refused(lambda: write_program(tmp_path / "n.pt2", reader))
    assert list(tmp_path.iterdir()) == []


def test_answers_that_are_not_numbers_are_refused():
    with pytest.raises(ExportError, match="got nan on 4 random images"):
        require_close_logits("n", Parity(4, float("nan"), 1.0), "random")
    with pytest.raises(ExportError, match="at least 50% of the images, got 40% of 10"):
        require_similar_predictions("n", Parity(10, 0.1, 0.4))
    with pytest.raises(ExportError, match=r"rounded program's answer on at least 90% .* got 80%"):
        require_faithful_predictions("n", Parity(10, 0.1, 0.8))


def test_an_input_of_absurd_size_is_refused_before_it_takes_memory(reader, tmp_path):
    absurd = dataclasses.replace(reader.preparation, pixels=10**6)
    with pytest.raises(ExportError, match="at most 8192 pixels per side, got 1000000"):
        write_program(tmp_path / "n.pt2", dataclasses.replace(reader, preparation=absurd))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_onnx_model_is_refused():
    with pytest.raises(ExportError, match="model: "):
        onnx_logits_function(b"nothing")


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_library_is_named_with_its_extra(reader, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ExportError, match=rf"need {library}.*pip install 'scalesearch\[export\]'"):
        write_onnx(tmp_path / "n.onnx", reader)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_quantiser_is_named_with_its_extra(monkeypatch):
    name = "torchao.quantization.pt2e"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=r"int8-qat: need torchao.*scalesearch\[export\]"):
        import_extra(name, "int8-qat")


def test_a_network_that_cannot_be_traced_is_refused():
    class Undecided(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ExportError, match=r"n: need a network that torch\.export can trace"):
        programs.export_program(Undecided(), images(2), "n")


def test_real_images_have_to_be_of_the_networks_classes(reader):
    named = dataclasses.replace(reader.preparation, class_names=tuple("abcdefghij"))
    with pytest.raises(ExportError, match=r"need the network's 10 classes \(a, b, c, d, \.\.\.\)"):
        load_image_set(dataclasses.replace(reader, preparation=named), DataSpec(source="digits"), 0)


def test_real_images_need_a_preparation(reader):
    bare = dataclasses.replace(reader, preparation=None)
    with pytest.raises(ExportError, match="reader: need to know how an image becomes its input"):
        load_image_set(bare, DataSpec(source="digits"), 0)


def test_no_image_is_shown_twice_or_left_out(reader, digits):
    shown = [images for images, _ in digits.batches(digits.test)]
    assert sum(map(len, shown)) == len(digits.test)
    assert sum(len(images) for images, _ in digits.batches(digits.test, 40)) == 40
    own = partial(torch_logits, reader.network)
    hits = [(own(x).argmax(1) == y).sum() for x, y in digits.batches(digits.test)]
    assert sum(hits) / len(digits.test) > 0.6
