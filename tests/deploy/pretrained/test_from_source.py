"""Weights from a name, a file or an address: downloaded, checked, loaded or refused."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from refusals import refused
from weights_server import SMALL, same_weights, seeded_network, sha256, torchvision_file

import scalesearch
from scalesearch.deploy.pretrained import from_source
from scalesearch.deploy.pretrained.from_source import from_pretrained
from scalesearch.deploy.pretrained.published_weights import PRETRAINED
from scalesearch.downloads import Download
from scalesearch.errors import WeightsError
from scalesearch.models.named import published_network
from scalesearch.training.network_file import read_network, write_network


@pytest.fixture
def published_b0(monkeypatch, server):
    """The network of a local file that replaces the download of efficientnet-b0."""
    b0 = published_network("efficientnet_b0")
    content = torchvision_file(b0)
    address = server.serve("/efficientnet_b0_mine.pth", content)
    row = replace(
        PRETRAINED["efficientnet-b0"],
        download=Download("efficientnet_b0_mine.pth", sha256(content)[:8], (address,)),
    )
    monkeypatch.setitem(PRETRAINED, "efficientnet-b0", row)
    return seeded_network(b0)


def test_a_name_gives_the_network_and_preparation_and_classes(
    published_b0, server, tmp_path, capsys
):
    saved = from_pretrained("efficientnet-b0", cache=tmp_path)
    assert same_weights(saved.network, published_b0)
    assert not saved.network.training
    assert (saved.preparation.pixels, saved.preparation.stored) == (224, 256)
    assert saved.preparation.view().window(224) == 224
    assert saved.preparation.class_names[:2] == ("tench", "goldfish")
    assert saved.name == "efficientnet-b0"
    assert saved.origin.startswith("torchvision, IMAGENET1K_V1: http")
    captured = capsys.readouterr()
    assert captured.out == ""
    size = f"{len(server.files['/efficientnet_b0_mine.pth']) / 1e6:.1f} MB"
    assert captured.err == (
        f"downloading efficientnet_b0_mine.pth, {size}: from {server.url}/efficientnet_b0_mine.pth "
        f"to {tmp_path / 'weights'}\n"
    )
    cached = from_pretrained("efficientnet_b0", cache=tmp_path)  # from the cache, and silent
    assert same_weights(cached.network, published_b0)
    assert server.requested_paths == ["/efficientnet_b0_mine.pth"]
    assert capsys.readouterr().err == ""


def test_downloads_are_kept_in_the_cache_of_the_user(published_b0, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    from_pretrained("efficientnet-b0")
    assert (tmp_path / "scalesearch" / "weights" / "efficientnet_b0_mine.pth").is_file()


def test_a_file_with_another_hash_is_refused_and_not_opened(published_b0, server, tmp_path):
    server.files["/efficientnet_b0_mine.pth"] = b"\x80\x02" + bytes(100)
    with refused(WeightsError):
        from_pretrained("efficientnet-b0", cache=tmp_path)
    assert not list((tmp_path / "weights").iterdir())


def test_a_web_page_instead_of_weights_is_recognised(published_b0, server, tmp_path):
    server.files["/efficientnet_b0_mine.pth"] = b"<!DOCTYPE html><html>Log in</html>"
    with refused(WeightsError):
        from_pretrained("efficientnet-b0", cache=tmp_path)


def test_a_failed_download_says_where_to_put_the_file(published_b0, server, tmp_path):
    path = tmp_path / "weights" / "efficientnet_b0_mine.pth"
    server.files.clear()
    with refused(WeightsError) as error:
        from_pretrained("efficientnet-b0", cache=tmp_path)
    assert str(error.value).endswith(f"put it at {path}")


def test_a_cached_file_is_loaded_without_a_connection(published_b0, monkeypatch, tmp_path):
    from_pretrained("efficientnet-b0", cache=tmp_path)
    unreachable = replace(
        PRETRAINED["efficientnet-b0"].download, urls=("http://127.0.0.1:1/x.pth",)
    )
    row = replace(PRETRAINED["efficientnet-b0"], download=unreachable)
    monkeypatch.setitem(PRETRAINED, "efficientnet-b0", row)
    assert same_weights(from_pretrained("efficientnet-b0", cache=tmp_path).network, published_b0)
    with refused(WeightsError):
        from_pretrained("efficientnet-b0", cache=tmp_path / "empty")


def test_an_interrupted_download_is_continued(server, tmp_path):
    content = torchvision_file(published_network("efficientnet_b0"))
    url = server.serve("/mine.pth", content)
    server.downloads_to_break = 1
    options = {"sha256": sha256(content), "cache": tmp_path}
    with refused(WeightsError):
        from_pretrained(url, "efficientnet_b0", **options)
    messages = []
    saved = from_pretrained(url, "efficientnet_b0", announce=messages.append, **options)
    assert "the rest of it from byte" in messages[0]
    assert same_weights(saved.network, seeded_network(published_network("efficientnet_b0")))


def test_a_download_is_checked_by_the_hash_in_its_file_name(server, tmp_path):
    content = torchvision_file()
    url = server.serve(f"/mine-{sha256(content)[:8]}.pth", content)
    saved = from_pretrained(url, SMALL, cache=tmp_path)
    assert same_weights(saved.network, seeded_network())
    assert saved.origin == url
    wrong_url = server.serve("/mine-0123abcd.pth", content)
    with refused(WeightsError):
        from_pretrained(wrong_url, SMALL, cache=tmp_path)


def test_an_address_without_a_hash_is_not_requested(server, tmp_path):
    url = server.serve("/mine.pth", torchvision_file())
    with refused(WeightsError):
        from_pretrained(url, SMALL, cache=tmp_path)
    assert server.requested_paths == []


@pytest.mark.parametrize("path", ["/", "/..", "/%2e%2e", "/.hidden-0123abcd"])
def test_an_address_without_a_file_name_is_refused(server, tmp_path, path):
    with refused(WeightsError):
        from_pretrained(server.url + path, SMALL, cache=tmp_path)


def test_two_files_with_the_same_name_do_not_replace_each_other(server, tmp_path):
    content_of_5_classes, content_of_3_classes = (
        torchvision_file(),
        torchvision_file(replace(SMALL, num_classes=3)),
    )
    for folder, content, classes in (
        ("a", content_of_5_classes, 5),
        ("b", content_of_3_classes, 3),
    ):
        url = server.serve(f"/{folder}/model.pth", content)
        saved = from_pretrained(
            url, replace(SMALL, num_classes=classes), sha256=sha256(content), cache=tmp_path
        )
        assert saved.architecture.num_classes == classes
    assert len(list(tmp_path.rglob("model.pth"))) == 2


def test_a_file_too_large_for_weights_is_refused(server, tmp_path, monkeypatch):
    content = torchvision_file()
    monkeypatch.setattr(from_source, "MAX_BYTES", len(content) - 1)
    url = server.serve("/mine.pth", content)
    with refused(WeightsError):
        from_pretrained(url, SMALL, sha256=sha256(content), cache=tmp_path)


def test_a_local_network_file_keeps_its_name_and_origin(tmp_path):
    path = write_network(
        tmp_path / "mine.safetensors", seeded_network(), name="mine", origin="a run"
    )
    saved = from_pretrained(path)
    assert same_weights(saved.network, seeded_network())
    assert (saved.name, saved.origin) == ("mine", "a run")


def test_a_local_file_of_another_layout_is_imported(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(torchvision_file())
    assert same_weights(from_pretrained(path, SMALL).network, seeded_network())
    with pytest.raises(WeightsError):
        from_pretrained(path)  # of what network?
    with refused(WeightsError):
        from_pretrained(path, SMALL, sha256="0123abcd")


def test_a_local_file_that_would_run_code_is_refused_without_running_it(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "touched",)

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    with pytest.raises(WeightsError):
        from_pretrained(path, SMALL)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("source", ["gone.pth", "folder/gone", Path("efficientnet-b0")])
def test_a_missing_file_is_not_taken_for_a_name(source, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with refused(WeightsError):
        from_pretrained(source)


def test_an_unknown_name_is_refused_with_similar_names():
    with refused(WeightsError):
        from_pretrained("efficientnet-b8")


def test_from_pretrained_is_a_public_name():
    assert scalesearch.from_pretrained is from_pretrained


def test_a_downloaded_network_keeps_its_preparation_in_a_file(published_b0, tmp_path):
    saved = from_pretrained("efficientnet-b0", cache=tmp_path)
    path = write_network(
        tmp_path / "b0.safetensors", saved.network, saved.preparation, name=saved.name
    )
    assert read_network(path).preparation == saved.preparation


def test_the_command_writes_a_network_file_and_names_its_origin(
    published_b0, run, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    out = tmp_path / "b0.safetensors"
    code, output, err = run("pretrained", "efficientnet-b0", "--out", out)
    assert code == 0
    assert err.startswith("downloading efficientnet_b0_mine.pth, ")
    assert "torchvision, IMAGENET1K_V1" in output
    saved = read_network(out)
    assert same_weights(saved.network, published_b0)
    assert saved.name == "efficientnet-b0"


def test_the_command_accepts_an_address_with_network_and_hash(run, server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    content = torchvision_file(published_network("efficientnet_b0"))
    url = server.serve("/mine.pth", content)
    options = ("--as", "efficientnet_b0", "--out", tmp_path / "mine.safetensors", "--json")
    code, output, _ = run("pretrained", url, "--sha256", sha256(content), *options)
    assert code == 0
    assert json.loads(output)["origin"] == url
    code, _, err = run("pretrained", url, *options)
    assert (code, "need 8 to 64 hexadecimal digits" in err) == (2, True)


def test_the_command_lists_the_published_weights(run):
    code, output, err = run("pretrained")
    assert (code, err) == (0, "")
    assert "efficientnet-b7" in output
    assert "tf_efficientnet_b7.ns_jft_in1k" in output
    _, output, _ = run("pretrained", "--json")
    assert len(json.loads(output)["pretrained"]) == len(PRETRAINED)


def test_the_command_needs_an_output_file(run):
    code, _, err = run("pretrained", "efficientnet-b0")
    assert (code, err) == (
        2,
        "efficientnet-b0: need --out NAME.safetensors for the network, got none\n",
    )
