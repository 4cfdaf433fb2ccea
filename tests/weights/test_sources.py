"""Weights from a name, a file, an address and the hub, all of them served on loopback: announced,
checked, refused with a reason, and the same network as in the file."""

import hashlib
import http.server
import importlib.util
import io
import json
import pickle
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest
import torch

import scalesearch
from scalesearch.architectures import Architecture, Stage
from scalesearch.downloads import Download
from scalesearch.errors import WeightsError
from scalesearch.nets import build
from scalesearch.weights import exported, from_pretrained, read_network, write_network
from scalesearch.weights.layouts import published_network
from scalesearch.weights.sources import PRETRAINED, hub, imagenet_classes, pretrained, published
from scalesearch.weights.sources.hub import HubPlace, hub_place

SMALL = Architecture(
    stem=8,
    stages=(Stage(repeats=1, width=8), Stage(repeats=2, width=16, stride=2, expansion=6)),
    head=32,
    resolution=32,
    num_classes=5,
)


@dataclass
class Server:
    """Gives ``files`` by path; ``asked`` are the paths that it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: int = 0

    def give(self, path: str, content: bytes, **headers: str) -> str:
        self.files[path] = content
        self.headers[path] = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.url + path


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            if self.path not in state.files:
                self.send_error(404)
                return
            content = state.files[self.path]
            wanted = self.headers.get("Range") or "bytes=0-"
            begin = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            for key, value in state.headers[self.path].items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                cut = state.broken > 0
                state.broken -= cut
                self.wfile.write(content[begin : len(content) * 2 // 3 if cut else None])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{httpd.server_port}"
        yield state
        httpd.shutdown()
        thread.join()


@cache
def network(architecture=SMALL):
    torch.manual_seed(0)
    return build(architecture).eval()


@cache
def torchvision_file(architecture=SMALL) -> bytes:
    """What torchvision's weights would be saved as."""
    kept = io.BytesIO()
    torch.save(exported(network(architecture), "torchvision"), kept)
    return kept.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def same_weights(one, other) -> bool:
    tensors, others = one.state_dict(), other.state_dict()
    return all(torch.equal(tensors[name], others[name]) for name in tensors)


@pytest.fixture
def known(monkeypatch, server):
    """B0's place in the table, with a file of our own behind it."""
    b0 = published_network("efficientnet_b0")
    content = torchvision_file(b0)
    address = server.give("/efficientnet_b0_mine.pth", content)
    row = replace(
        PRETRAINED["efficientnet-b0"],
        file=Download("efficientnet_b0_mine.pth", sha256(content)[:8], (address,)),
    )
    monkeypatch.setitem(PRETRAINED, "efficientnet-b0", row)
    return network(b0)


def test_a_name_gives_the_network_its_images_and_its_classes(known, server, tmp_path, capsys):
    saved = from_pretrained("efficientnet-b0", cache=tmp_path)
    assert same_weights(saved.network, known)
    assert not saved.network.training
    assert (saved.preparation.pixels, saved.preparation.stored) == (224, 256)
    assert saved.preparation.view().window(224) == 224
    assert saved.preparation.class_names[:2] == ("tench", "goldfish")
    assert saved.name == "efficientnet-b0"
    assert saved.origin.startswith("torchvision, IMAGENET1K_V1: http")
    told = capsys.readouterr()
    assert told.out == ""
    size = f"{len(server.files['/efficientnet_b0_mine.pth']) / 1e6:.1f} MB"
    assert told.err == (
        f"downloading efficientnet_b0_mine.pth, {size}: from {server.url}/efficientnet_b0_mine.pth "
        f"to {tmp_path / 'weights'}\n"
    )
    again = from_pretrained("efficientnet_b0", cache=tmp_path)  # from the cache, and silent
    assert same_weights(again.network, known)
    assert server.asked == ["/efficientnet_b0_mine.pth"]
    assert capsys.readouterr().err == ""


def test_downloads_lie_in_the_users_cache(known, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    from_pretrained("efficientnet-b0")
    assert (tmp_path / "scalesearch" / "weights" / "efficientnet_b0_mine.pth").is_file()


def test_another_file_behind_a_name_is_refused_and_not_opened(known, server, tmp_path):
    server.files["/efficientnet_b0_mine.pth"] = b"\x80\x02" + bytes(100)
    with pytest.raises(WeightsError) as error:
        from_pretrained("efficientnet-b0", cache=tmp_path)
    message = str(error.value)
    assert message.startswith("weights efficientnet-b0: need efficientnet_b0_mine.pth, got no such")
    assert "another file: SHA256 hash" in message
    assert "(SHA-256 beginning with " in message
    assert not list((tmp_path / "weights").iterdir())


def test_a_web_page_behind_a_name_is_told_as_one(known, server, tmp_path):
    server.files["/efficientnet_b0_mine.pth"] = b"<!DOCTYPE html><html>Log in</html>"
    with pytest.raises(WeightsError, match="it is a web page"):
        from_pretrained("efficientnet-b0", cache=tmp_path)


def test_a_missing_file_and_a_missing_network_say_where_to_put_it(known, server, tmp_path):
    where = tmp_path / "weights" / "efficientnet_b0_mine.pth"
    server.files.clear()
    with pytest.raises(WeightsError, match="404 Client Error") as error:
        from_pretrained("efficientnet-b0", cache=tmp_path)
    assert str(error.value).endswith(f"put it at {where}")


def test_without_a_network_the_cache_is_enough(known, monkeypatch, tmp_path):
    from_pretrained("efficientnet-b0", cache=tmp_path)
    gone = replace(PRETRAINED["efficientnet-b0"].file, urls=("http://127.0.0.1:1/x.pth",))
    row = replace(PRETRAINED["efficientnet-b0"], file=gone)
    monkeypatch.setitem(PRETRAINED, "efficientnet-b0", row)
    assert same_weights(from_pretrained("efficientnet-b0", cache=tmp_path).network, known)
    with pytest.raises(WeightsError, match="no connection"):
        from_pretrained("efficientnet-b0", cache=tmp_path / "empty")


def test_a_download_that_broke_off_goes_on(server, tmp_path):
    content = torchvision_file(published_network("efficientnet_b0"))
    url = server.give("/mine.pth", content)
    server.broken = 1
    options = {"sha256": sha256(content), "cache": tmp_path}
    with pytest.raises(WeightsError, match="the connection broke; what has come is kept"):
        from_pretrained(url, "efficientnet_b0", **options)
    told = []
    saved = from_pretrained(url, "efficientnet_b0", told=told.append, **options)
    assert "the rest of it from byte" in told[0]
    assert same_weights(saved.network, network(published_network("efficientnet_b0")))


def test_an_address_is_checked_by_the_digits_its_name_ends_in(server, tmp_path):
    content = torchvision_file()
    url = server.give(f"/mine-{sha256(content)[:8]}.pth", content)
    saved = from_pretrained(url, SMALL, cache=tmp_path)
    assert same_weights(saved.network, network())
    assert saved.origin == url
    wrong = server.give("/mine-0123abcd.pth", content)
    with pytest.raises(WeightsError, match="does not match 0123abcd"):
        from_pretrained(wrong, SMALL, cache=tmp_path)


def test_an_address_without_a_hash_is_not_asked(server, tmp_path):
    url = server.give("/mine.pth", torchvision_file())
    with pytest.raises(WeightsError, match=r"say which file is meant by sha256=\.\.\."):
        from_pretrained(url, SMALL, cache=tmp_path)
    assert server.asked == []


@pytest.mark.parametrize("path", ["/", "/..", "/%2e%2e", "/.hidden-0123abcd"])
def test_an_address_without_a_file_name_is_refused(server, tmp_path, path):
    with pytest.raises(WeightsError, match=r"need a plain file name|need 8 to 64"):
        from_pretrained(server.url + path, SMALL, cache=tmp_path)


def test_two_files_of_one_name_do_not_replace_each_other(server, tmp_path):
    one, other = torchvision_file(), torchvision_file(replace(SMALL, num_classes=3))
    for folder, content, classes in (("a", one, 5), ("b", other, 3)):
        url = server.give(f"/{folder}/model.pth", content)
        saved = from_pretrained(
            url, replace(SMALL, num_classes=classes), sha256=sha256(content), cache=tmp_path
        )
        assert saved.architecture.num_classes == classes
    assert len(list(tmp_path.rglob("model.pth"))) == 2


def test_a_file_too_large_for_weights_is_not_taken(server, tmp_path, monkeypatch):
    content = torchvision_file()
    monkeypatch.setattr(pretrained, "MOST", len(content) - 1)
    url = server.give("/mine.pth", content)
    with pytest.raises(WeightsError, match="that such a file may have"):
        from_pretrained(url, SMALL, sha256=sha256(content), cache=tmp_path)


def test_a_local_file_of_ours_says_all_itself_and_keeps_its_origin(tmp_path):
    path = write_network(tmp_path / "mine.safetensors", network(), name="mine", origin="a run")
    saved = from_pretrained(path)
    assert same_weights(saved.network, network())
    assert (saved.name, saved.origin) == ("mine", "a run")


def test_a_local_file_of_another_layout_is_imported(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(torchvision_file())
    assert same_weights(from_pretrained(path, SMALL).network, network())
    with pytest.raises(WeightsError):
        from_pretrained(path)  # of what network?
    with pytest.raises(WeightsError, match="need SHA-256 0123abcd, got "):
        from_pretrained(path, SMALL, sha256="0123abcd")


def test_a_local_file_that_would_run_code_is_refused_and_does_not(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "touched",)

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    with pytest.raises(WeightsError):
        from_pretrained(path, SMALL)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("source", ["gone.pth", "folder/gone", Path("efficientnet-b0")])
def test_a_file_that_is_not_there_is_no_name(source, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="no such file"):
        from_pretrained(source)


def test_an_unknown_name_is_refused_with_those_that_are_near():
    with pytest.raises(WeightsError) as error:
        from_pretrained("efficientnet-b8")
    assert "unknown name 'efficientnet-b8'; did you mean efficientnet-b" in str(error.value)


def test_from_pretrained_is_a_public_name():
    assert scalesearch.from_pretrained is from_pretrained


# The table


def source_of(package: str, file: str) -> str:
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"needs {package}")
    return (Path(found.origin).parent / file).read_text(encoding="utf-8")


def test_the_table_has_the_files_of_torchvision_as_it_downloads_them():
    text = source_of("torchvision", "models/efficientnet.py")
    theirs = re.findall(
        r'url="(https://download\.pytorch\.org/models/efficientnet_b\d\S+)".*?'
        r"crop_size=(\d+), resize_size=(\d+), interpolation=InterpolationMode\.(\w+)",
        text,
        re.DOTALL,
    )
    ours = [row for row in PRETRAINED.values() if row.layout == "torchvision"]
    assert len(theirs) == len(ours) == 9
    assert {
        (row.file.urls[0], str(row.pixels), str(row.resize), row.interpolation.upper())
        for row in ours
    } == set(theirs)


def test_the_table_has_the_files_of_efficientnet_pytorch_as_it_downloads_them():
    text = source_of("efficientnet_pytorch", "utils.py")
    theirs = set(re.findall(r"'(https://github\.com/lukemelas/\S+-b[0-7]-\w+\.pth)'", text))
    ours = {row.file.urls[0] for row in PRETRAINED.values() if row.layout == "lukemelas"}
    assert len(theirs) == 16
    assert ours == theirs


def test_the_table_has_the_files_of_timm_as_it_downloads_them():
    text = source_of("timm", "models/efficientnet.py")
    rows = re.findall(
        r"'(tf_efficientnet_b[0-7]\.\w+)': _cfg\(\s*url='https://github\.com/\w+/"
        r"pytorch-image-models/releases/download/v0\.1-weights/(\S+?)',(.*?)\),\n",
        text,
        re.DOTALL,
    )
    theirs = {}
    for name, file, rest in rows:
        crop = re.search(r"\bcrop_pct=([\d.]+)", rest)
        pixels = int(re.search(r"\(3, (\d+)", rest)[1])
        resize = int(pixels / float(crop[1] if crop else 0.875))
        theirs[name] = (file, pixels, resize, "INCEPTION" in rest)
    ours = {
        row.name: (row.file.name, row.pixels, row.resize, row.inception)
        for row in PRETRAINED.values()
        if row.layout == "timm-tf"
    }
    assert len(ours) == 30
    assert ours == {name: theirs[name] for name in ours}


@pytest.mark.parametrize("row", PRETRAINED.values(), ids=list(PRETRAINED))
def test_every_row_is_checked_by_the_digits_that_its_file_is_named_by(row):
    digits = row.file.name.removesuffix(".pth").rpartition("-")[2]
    assert re.fullmatch("[0-9a-f]{8}", digits)
    assert row.file.sha256.startswith(digits)
    assert row.preparation.view().window(row.pixels) == row.pixels
    assert published_network(row.architecture).num_classes == len(imagenet_classes())


def test_the_classes_are_torchvisions():
    found = {}
    exec(source_of("torchvision", "models/_meta.py"), found)
    assert imagenet_classes() == tuple(found["_IMAGENET_CATEGORIES"])
    assert published("efficientnet-b0").row()["sha256"].startswith("7f5810bc")


# The hub


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
    saved = from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path, told=told.append)
    assert same_weights(saved.network, network())
    assert (saved.name, saved.origin) == ("mine", "hf:me/mine:mine.safetensors")
    assert len(told) == 1
    assert told[0].startswith(f"downloading mine.safetensors, {len(content) / 1e3:.1f} kB: from ")
    from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path, told=told.append)
    assert len(told) == 1  # it is in the cache


def test_timms_configuration_says_the_network_and_its_images(on_hub, tmp_path):
    b0 = replace(published_network("efficientnet_b0"), num_classes=3)
    tensors = exported(network(b0), "timm")
    from safetensors.torch import save

    shown = {"input_size": [3, 96, 96], "crop_pct": 0.9, "mean": [0.5] * 3, "std": [0.25] * 3}
    configuration = {
        "architecture": "tf_efficientnet_b0",
        "num_classes": 3,
        "pretrained_cfg": {**shown, "interpolation": "bicubic"},
    }
    on_hub("config.json", json.dumps(configuration).encode())
    on_hub("model.safetensors", save(tensors))
    saved = from_pretrained("hf:me/mine", cache=tmp_path, told=lambda _: None)
    assert same_weights(saved.network, network(b0))
    assert saved.network.options.padding == "same"
    assert saved.network.options.norm_eps == 1e-3
    assert (saved.preparation.pixels, saved.preparation.stored) == (96, 106)
    assert saved.preparation.mean == (0.5, 0.5, 0.5)
    assert saved.preparation.class_names == ()


def test_a_file_that_is_not_what_the_hub_says_is_refused(on_hub, tmp_path):
    on_hub("mine.safetensors", b"something else", etag=sha256(b"mine"))
    with pytest.raises(WeightsError, match=f"need the file with SHA-256 {sha256(b'mine')}, got "):
        from_pretrained("hf:me/mine:mine.safetensors", cache=tmp_path, told=lambda _: None)


def test_a_file_in_plain_git_needs_a_hash(on_hub, tmp_path):
    content = write_network(tmp_path / "mine.safetensors", network()).read_bytes()
    on_hub("mine.safetensors", content, etag="a" * 40)
    options = {"cache": tmp_path, "told": lambda _: None}
    with pytest.raises(WeightsError, match=r"say sha256=\.\.\."):
        from_pretrained("hf:me/mine:mine.safetensors", **options)
    saved = from_pretrained("hf:me/mine:mine.safetensors", sha256=sha256(content), **options)
    assert same_weights(saved.network, network())


def test_a_large_file_on_the_hub_is_not_taken(on_hub, server, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "MOST", 100)
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
    options = {"cache": tmp_path, "told": lambda _: None}
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
    assert hub_place("hf:me/mine") == HubPlace("me/mine", None, "model.safetensors")
    assert hub_place("hf:me/my.net@v1.0:a/b.pth") == HubPlace("me/my.net", "v1.0", "a/b.pth")


@pytest.mark.parametrize("text", ["hf:", "hf:mine", "hf:a/b/c", "hf:a/b:../c", "hf:a/b:/etc/x"])
def test_a_place_of_another_form_is_refused(text):
    with pytest.raises(WeightsError, match="need hf:OWNER/NAME"):
        hub_place(text)


def test_a_network_read_again_is_the_one_that_was_fetched(known, tmp_path):
    saved = from_pretrained("efficientnet-b0", cache=tmp_path)
    path = write_network(
        tmp_path / "b0.safetensors", saved.network, saved.preparation, name=saved.name
    )
    assert read_network(path).preparation == saved.preparation


# The command


def test_the_command_writes_a_network_file_and_says_where_it_comes_from(
    known, run, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    out = tmp_path / "b0.safetensors"
    code, told, err = run("pretrained", "efficientnet-b0", "--out", out)
    assert code == 0
    assert err.startswith("downloading efficientnet_b0_mine.pth, ")
    assert "torchvision, IMAGENET1K_V1" in told
    saved = read_network(out)
    assert same_weights(saved.network, known)
    assert saved.name == "efficientnet-b0"


def test_the_command_takes_an_address_with_its_network_and_hash(run, server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    content = torchvision_file(published_network("efficientnet_b0"))
    url = server.give("/mine.pth", content)
    options = ("--as", "efficientnet_b0", "--out", tmp_path / "mine.safetensors", "--json")
    code, told, _ = run("pretrained", url, "--sha256", sha256(content), *options)
    assert code == 0
    assert json.loads(told)["origin"] == url
    code, _, err = run("pretrained", url, *options)
    assert (code, "need 8 to 64 hexadecimal digits" in err) == (2, True)


def test_the_command_lists_what_there_is(run):
    code, told, err = run("pretrained")
    assert (code, err) == (0, "")
    assert "efficientnet-b7" in told
    assert "tf_efficientnet_b7.ns_jft_in1k" in told
    _, told, _ = run("pretrained", "--json")
    assert len(json.loads(told)["pretrained"]) == len(PRETRAINED)


def test_the_command_needs_a_place_for_the_file(run):
    code, _, err = run("pretrained", "efficientnet-b0")
    assert (code, err) == (
        2,
        "efficientnet-b0: need --out NAME.safetensors for the network, got none\n",
    )
