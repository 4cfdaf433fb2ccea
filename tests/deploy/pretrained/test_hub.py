"""Weights from a local Hugging Face hub."""

import json
from dataclasses import replace

import pytest
from refusals import refused
from weights_server import same_weights, seeded_network, sha256

from scalesearch.deploy.layouts.conversion import to_layout
from scalesearch.deploy.pretrained import from_source as pretrained
from scalesearch.deploy.pretrained import hub
from scalesearch.deploy.pretrained.from_source import from_pretrained
from scalesearch.deploy.pretrained.hub import HubFile, parse_hub_address
from scalesearch.errors import WeightsError
from scalesearch.models.named import published_network
from scalesearch.training.network_file import write_network


@pytest.fixture
def put_on_hub(server, monkeypatch):
    """Function that puts a file into a repository on the local hub."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "ENDPOINT", server.url)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    def put_file(file: str, content: bytes, etag: str = "", commit: str = "c" * 40) -> None:
        for revision in ("main", commit):
            server.serve(
                f"/me/mine/resolve/{revision}/{file}",
                content,
                ETag=f'"{etag or sha256(content)}"',
                X_Repo_Commit=commit,
            )

    return put_file


def test_a_network_file_is_loaded_from_the_hub_once(put_on_hub, tmp_path):
    content = write_network(
        tmp_path / "mine.safetensors", seeded_network(), name="mine"
    ).read_bytes()
    put_on_hub("mine.safetensors", content)
    messages = []
    saved = from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path, announce=messages.append)
    assert same_weights(saved.network, seeded_network())
    assert (saved.name, saved.origin) == ("mine", "hf:me/mine:mine.safetensors")
    assert len(messages) == 1
    assert messages[0].startswith(
        f"downloading mine.safetensors, {len(content) / 1e3:.1f} kB: from "
    )
    from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path, announce=messages.append)
    assert len(messages) == 1  # it is in the cache


def test_the_configuration_of_timm_gives_the_network_and_its_preparation(put_on_hub, tmp_path):
    b0 = replace(published_network("efficientnet_b0"), num_classes=3)
    tensors = to_layout(seeded_network(b0), "timm")
    from safetensors.torch import save

    image_settings = {
        "input_size": [3, 96, 96],
        "crop_pct": 0.9,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
    }
    configuration = {
        "architecture": "tf_efficientnet_b0",
        "num_classes": 3,
        "pretrained_cfg": {**image_settings, "interpolation": "bicubic"},
    }
    put_on_hub("config.json", json.dumps(configuration).encode())
    put_on_hub("model.safetensors", save(tensors))
    messages = []
    saved = from_pretrained("hf:me/mine", cache=tmp_path, announce=messages.append)
    assert [line.split()[:2] for line in messages] == [
        ["downloading", "config.json,"],
        ["downloading", "model.safetensors,"],
    ]
    assert same_weights(saved.network, seeded_network(b0))
    assert saved.network.options.padding == "same"
    assert saved.network.options.norm_eps == 1e-3
    assert (saved.preparation.pixels, saved.preparation.stored) == (96, 106)
    assert saved.preparation.mean == (0.5, 0.5, 0.5)
    assert saved.preparation.class_names == ()


def test_a_file_with_another_hash_than_on_the_hub_is_refused(put_on_hub, tmp_path):
    put_on_hub("mine.safetensors", b"something else", etag=sha256(b"mine"))
    with refused(WeightsError):
        from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path, announce=lambda _: None)


def test_a_file_in_plain_git_needs_a_hash(put_on_hub, tmp_path):
    content = write_network(tmp_path / "mine.safetensors", seeded_network()).read_bytes()
    put_on_hub("mine.safetensors", content, etag="a" * 40)
    options = {"cache": tmp_path, "announce": lambda _: None}
    with refused(WeightsError):
        from_pretrained("hf:me/mine:mine.safetensors", **options)
    saved = from_pretrained("hf:me/mine:mine.safetensors", sha256=sha256(content), **options)
    assert same_weights(saved.network, seeded_network())


def test_a_large_file_on_the_hub_is_not_downloaded(put_on_hub, server, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "MAX_BYTES", 100)
    put_on_hub("mine.safetensors", bytes(101))
    with refused(WeightsError):
        from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path)
    assert not any(path.endswith("mine.safetensors") for path in server.requested_paths)


def test_a_file_missing_on_the_hub_is_named(put_on_hub, tmp_path):
    with refused(WeightsError):
        from_pretrained("hf:me/mine:gone.safetensors", cache=tmp_path)


def test_a_cached_file_is_loaded_without_a_connection(put_on_hub, server, tmp_path, monkeypatch):
    content = write_network(tmp_path / "mine.safetensors", seeded_network()).read_bytes()
    put_on_hub("mine.safetensors", content)
    options = {"cache": tmp_path, "announce": lambda _: None}
    from_pretrained("hf:me/mine:mine.safetensors", **options)
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:1")
    saved = from_pretrained("hf:me/mine:mine.safetensors", **options)
    assert same_weights(saved.network, seeded_network())
    (stored,) = (path for path in (tmp_path / "huggingface").rglob("blobs/*") if path.is_file())
    stored.write_bytes(stored.read_bytes()[:-4] + bytes(4))
    with refused(WeightsError):
        from_pretrained("hf:me/mine:mine.safetensors", **options)


def test_a_missing_huggingface_hub_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with refused(WeightsError):
        from_pretrained("hf:me/mine:mine.safetensors")


def test_a_hub_address_is_parsed():
    assert parse_hub_address("hf:me/mine") == HubFile("me/mine", None, "model.safetensors")
    assert parse_hub_address("hf:me/my.net@v1.0:a/b.pth") == HubFile("me/my.net", "v1.0", "a/b.pth")


@pytest.mark.parametrize("text", ["hf:", "hf:mine", "hf:a/b/c", "hf:a/b:../c", "hf:a/b:/etc/x"])
def test_a_malformed_hub_address_is_refused(text):
    with refused(WeightsError):
        parse_hub_address(text)
