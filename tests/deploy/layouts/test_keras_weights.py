"""Imported Keras networks give the same logits; their normalisation becomes a preparation."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from peer_networks import distance, logits, randomised
from refusals import refused
from torch import Tensor

from scalesearch.data.preparation import Preparation
from scalesearch.deploy.layouts.conversion import import_weights, to_layout
from scalesearch.deploy.layouts.known_layouts import LAYOUTS
from scalesearch.deploy.layouts.layout import tensor_pairs
from scalesearch.deploy.layouts.weight_files import read_layout_state
from scalesearch.errors import WeightsError
from scalesearch.models.named import published_network
from scalesearch.models.network import build_model

MAX_DISTANCE = 1e-4


def normalised_images(images_BHWC: np.ndarray, preparation: Preparation) -> Tensor:
    """Convert images of 0 to 255 to the input of the network."""
    images_BCHW = torch.from_numpy(images_BHWC).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor(preparation.mean), torch.tensor(preparation.std)
    return (images_BCHW - mean[:, None, None]) / std[:, None, None]


@pytest.mark.slow
class TestFilesOfKeras:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("keras")
        program = Path(__file__).with_name("keras_peer.py")
        process = subprocess.run([sys.executable, program, folder], capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def keras_arrays(cls, folder: Path) -> Mapping[str, np.ndarray]:
        return np.load(folder / "arrays.npz")

    @pytest.mark.parametrize("name", ["b0.h5", "b0.weights.h5", "old.weights.h5", "b0.keras"])
    def test_every_file_format_gives_the_logits_of_keras(
        self, name: str, folder: Path, keras_arrays: Mapping[str, np.ndarray]
    ) -> None:
        saved = import_weights(folder / name, "efficientnet_b0")
        assert saved.architecture.num_classes == 7
        assert saved.preparation is not None
        assert saved.preparation.mean == pytest.approx((0.5, 0.4, 0.3))
        assert saved.preparation.std == pytest.approx((0.2, 0.05**0.5, 0.06**0.5))
        for side in (64, 65):
            images = keras_arrays["images"][:, :side, :side]
            our_logits = logits(saved.network, normalised_images(images, saved.preparation))
            assert (
                distance(our_logits, torch.from_numpy(keras_arrays[f"logits_{side}"]))
                < MAX_DISTANCE
            )

    def test_published_files_hold_standard_deviations_instead_of_variances(
        self, folder: Path, keras_arrays: Mapping[str, np.ndarray]
    ) -> None:
        saved = import_weights(folder / "published.h5", "efficientnet_b0")
        assert saved.preparation is not None
        assert saved.preparation.std == pytest.approx((0.229, 0.224, 0.225))
        images = np.tile(keras_arrays["images"], (1, 4, 4, 1))[:1, :224, :224]
        our_logits = logits(saved.network, normalised_images(images, saved.preparation))
        assert distance(our_logits, torch.from_numpy(keras_arrays["published"])) < MAX_DISTANCE

    def test_tensor_names_and_shapes_of_b3_are_those_of_keras(
        self, keras_arrays: Mapping[str, np.ndarray]
    ) -> None:
        keras_shapes = {
            name.removeprefix("b3:"): tuple(keras_arrays[name])
            for name in keras_arrays
            if name.startswith("b3:") and "normalization" not in name
        }
        our_pairs = tensor_pairs(published_network("b3"), LAYOUTS["keras"])
        assert {pair.layout_name: pair.shape for pair in our_pairs} == keras_shapes

    def test_a_file_of_another_network_is_refused_with_its_tensor_names(self, folder: Path) -> None:
        for name in ("b0.h5", "b0.weights.h5"):
            with refused(WeightsError) as no:
                import_weights(folder / name, "efficientnet_b2")
            assert re.search(r"missing: block1b_dwconv/kernel \[3, 3, 16, 1\]", str(no.value))


def write_datasets(path: Path, datasets: Mapping[str, np.ndarray]) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name, data=values)
    return path


def test_weights_of_keras_2_are_imported(tmp_path: Path) -> None:
    network = randomised(build_model(published_network("b0"), padding="same"))
    datasets = {
        f"{name.partition('/')[0]}/{name.replace('dwconv/', 'dwconv/depthwise_')}:0": tensor.numpy()
        for name, tensor in to_layout(network, "keras").items()
    }
    datasets["normalization_2/normalization_2/mean:0"] = np.float32([0.1, 0.2, 0.3])
    datasets["normalization_2/normalization_2/variance:0"] = np.float32([0.01, 0.04, 0.09])
    datasets["optimizer_weights/Adam/m:0"] = np.zeros(3)
    saved = import_weights(write_datasets(tmp_path / "b0.h5", datasets), "efficientnet_b0")
    assert saved.preparation is not None
    assert saved.preparation.mean == pytest.approx((0.1, 0.2, 0.3))
    assert saved.preparation.std == pytest.approx((0.1, 0.2, 0.3))
    original_tensors, restored_tensors = network.state_dict(), saved.network.state_dict()
    assert all(
        original_tensors[n].equal(restored_tensors[n])
        for n in original_tensors
        if "num_batches" not in n
    )


def test_values_in_other_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(range(64)))
    write_datasets(tmp_path / "other.h5", {"x": np.ones(16, np.float32)})
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        secret = [(str(tmp_path / "secret"), 0, 64)]
        file.create_dataset("stem_conv/kernel", (16,), np.float32, external=secret)
    with refused(WeightsError):
        read_layout_state(path)
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((16,), np.float32)
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (16,))
        file.create_virtual_dataset("stem_conv/kernel", layout)
    with refused(WeightsError):
        read_layout_state(path)
    with h5py.File(path, "w") as file:
        file["stem_conv/kernel"] = h5py.ExternalLink("other.h5", "x")
    with refused(WeightsError):
        read_layout_state(path)


def test_tensors_larger_than_their_file_are_refused_unread(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a/kernel", (10**6, 10**5), np.float32, chunks=(1000, 1000))
    with refused(WeightsError):
        read_layout_state(tmp_path / "a.h5")


def test_a_keras_archive_is_read(tmp_path: Path) -> None:
    path = write_datasets(tmp_path / "model.weights.h5", {"layer/kernel": np.ones(2, np.float32)})
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.write(path, path.name)
    assert read_layout_state(tmp_path / "a.keras").tensors["layer/kernel"].equal(torch.ones(2))
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
        archive.writestr(path.name, path.read_bytes()[:500])
    with refused(WeightsError):
        read_layout_state(tmp_path / "b.keras")


def test_text_instead_of_numbers_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a/kernel", data="words")
    with refused(WeightsError):
        read_layout_state(tmp_path / "a.h5")


@pytest.mark.parametrize("fraction", [0.02, 0.5])
def test_a_keras_file_that_is_cut_off_is_refused(fraction: float, tmp_path: Path) -> None:
    path = write_datasets(
        tmp_path / "a.h5", {f"layer_{n}/kernel": np.ones((9, 9)) for n in range(50)}
    )
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with refused(WeightsError):
        read_layout_state(path)


def test_a_missing_h5py_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_datasets(tmp_path / "a.h5", {"layer/kernel": np.ones(2)})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with refused(WeightsError):
        read_layout_state(path)


def test_a_negative_variance_is_refused() -> None:
    tensors = to_layout(build_model(published_network("b0"), padding="same"), "keras")
    tensors |= {
        "normalization/mean": torch.zeros(3),
        "normalization/variance": torch.tensor([1.0, -1.0, 1.0]),
    }
    with refused(WeightsError):
        import_weights(tensors, "efficientnet_b0")
