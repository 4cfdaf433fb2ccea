"""Weights from a Hugging Face hub on loopback."""

import json
from dataclasses import replace

import pytest
from served import network, same_weights, sha256

from scalesearch.deploy.layouts.conversion import to_layout
from scalesearch.deploy.pretrained import from_source as pretrained
from scalesearch.deploy.pretrained import hub
from scalesearch.deploy.pretrained.from_source import from_pretrained
from scalesearch.deploy.pretrained.hub import HubFile, parse_hub_address
from scalesearch.errors import WeightsError
from scalesearch.models.named import published_network
from scalesearch.training.network_file import write_network


@pytest.fixture
def on_hub(server, monkeypatch):
    """Puts files into a repository on a hub of our own."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "ENDPOINT", server.url)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    def put(file: str, content: bytes, etag: str = "", commit: str = "c" * 40) -> None:
        for revision in ("main", commit):
            server.give(
                f"/me/mine/resolve/{revision}/{file}",
                content,
                ETag=f'"{etag or sha256(content)}"',
                X_Repo_Commit=commit,
            )

    return put


def test_a_network_of_ours_comes_from_the_hub(on_hub, tmp_path):
    content = write_network(tmp_path / "mine.safetensors", network(), name="mine").read_bytes()
    on_hub("mine.safetensors", content)
    told = []
    saved = from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path, announce=told.append)
    assert same_weights(saved.network, network())
    assert (saved.name, saved.origin) == ("mine", "hf:me/mine:mine.safetensors")
    assert len(told) == 1
    assert told[0].startswith(f"downloading mine.safetensors, {len(content) / 1e3:.1f} kB: from ")
    from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path, announce=told.append)
    assert len(told) == 1  # it is in the cache


def test_timms_configuration_says_the_network_and_its_images(on_hub, tmp_path):
    b0 = replace(published_network("efficientnet_b0"), num_classes=3)
    tensors = to_layout(network(b0), "timm")
    from safetensors.torch import save

    shown = {"input_size": [3, 96, 96], "crop_pct": 0.9, "mean": [0.5] * 3, "std": [0.25] * 3}
    configuration = {
        "architecture": "tf_efficientnet_b0",
        "num_classes": 3,
        "pretrained_cfg": {**shown, "interpolation": "bicubic"},
    }
    on_hub("config.json", json.dumps(configuration).encode())
    on_hub("model.safetensors", save(tensors))
    told = []
    saved = from_pretrained("hf:me/mine", cache=tmp_path, announce=told.append)
    assert [line.split()[:2] for line in told] == [
        ["downloading", "config.json,"],
        ["downloading", "model.safetensors,"],
    ]
    assert same_weights(saved.network, network(b0))
    assert saved.network.options.padding == "same"
    assert saved.network.options.norm_eps == 1e-3
    assert (saved.preparation.pixels, saved.preparation.stored) == (96, 106)
    assert saved.preparation.mean == (0.5, 0.5, 0.5)
    assert saved.preparation.class_names == ()


def test_a_file_that_is_not_what_the_hub_says_is_refused(on_hub, tmp_path):
    on_hub("mine.safetensors", b"something else", etag=sha256(b"mine"))
    with pytest.raises(WeightsError, match=f"need the file with SHA-256 {sha256(b'mine')}, got "):
        from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path, announce=lambda _: None)


def test_a_file_in_plain_git_needs_a_hash(on_hub, tmp_path):
    content = write_network(tmp_path / "mine.safetensors", network()).read_bytes()
    on_hub("mine.safetensors", content, etag="a" * 40)
    options = {"cache": tmp_path, "announce": lambda _: None}
    with pytest.raises(WeightsError, match=r"say sha256=\.\.\."):
        from_pretrained("hf:me/mine:mine.safetensors", **options)
    saved = from_pretrained("hf:me/mine:mine.safetensors", sha256=sha256(content), **options)
    assert same_weights(saved.network, network())


def test_a_large_file_on_the_hub_is_not_taken(on_hub, server, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "MAX_BYTES", 100)
    on_hub("mine.safetensors", bytes(101))
    with pytest.raises(WeightsError, match="need at most 100 bytes, got a file of 101 bytes"):
        from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path)
    assert not any(path.endswith("mine.safetensors") for path in server.asked)


def test_what_the_hub_has_not_is_told(on_hub, tmp_path):
    with pytest.raises(WeightsError, match=r"hf:me/mine:gone\.safetensors: need a file that the"):
        from_pretrained("hf:me/mine:gone.safetensors", cache=tmp_path)


def test_without_a_network_the_hubs_cache_is_enough(on_hub, server, tmp_path, monkeypatch):
    content = write_network(tmp_path / "mine.safetensors", network()).read_bytes()
    on_hub("mine.safetensors", content)
    options = {"cache": tmp_path, "announce": lambda _: None}
    from_pretrained("hf:me/mine:mine.safetensors", **options)
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:1")
    saved = from_pretrained("hf:me/mine:mine.safetensors", **options)
    assert same_weights(saved.network, network())
    (stored,) = (one for one in (tmp_path / "huggingface").rglob("blobs/*") if one.is_file())
    stored.write_bytes(stored.read_bytes()[:-4] + bytes(4))
    with pytest.raises(WeightsError, match="need the file with SHA-256"):
        from_pretrained("hf:me/mine:mine.safetensors", **options)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=r"pip install 'scalesearch\[hub\]'"):
        from_pretrained("hf:me/mine:mine.safetensors")


def test_a_place_on_the_hub_has_a_form():
    assert parse_hub_address("hf:me/mine") == HubFile("me/mine", None, "model.safetensors")
    assert parse_hub_address("hf:me/my.net@v1.0:a/b.pth") == HubFile("me/my.net", "v1.0", "a/b.pth")


@pytest.mark.parametrize("text", ["hf:", "hf:mine", "hf:a/b/c", "hf:a/b:../c", "hf:a/b:/etc/x"])
def test_a_place_of_another_form_is_refused(text):
    with pytest.raises(WeightsError, match="need hf:OWNER/NAME"):
        parse_hub_address(text)
