"""The table of published weights is what their publishers' packages say."""

import importlib.util
import re
from pathlib import Path

import pytest

from scalesearch.deploy.pretrained.from_source import imagenet_classes
from scalesearch.deploy.pretrained.published_weights import PRETRAINED, pretrained_weights
from scalesearch.models.named import published_network


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
        (row.download.urls[0], str(row.pixels), str(row.resize), row.interpolation.upper())
        for row in ours
    } == set(theirs)


def test_the_table_has_the_files_of_efficientnet_pytorch_as_it_downloads_them():
    text = source_of("efficientnet_pytorch", "utils.py")
    theirs = set(re.findall(r"'(https://github\.com/lukemelas/\S+-b[0-7]-\w+\.pth)'", text))
    ours = {row.download.urls[0] for row in PRETRAINED.values() if row.layout == "lukemelas"}
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
        row.name: (row.download.name, row.pixels, row.resize, row.uses_inception_statistics)
        for row in PRETRAINED.values()
        if row.layout == "timm-tf"
    }
    assert len(ours) == 30
    assert ours == {name: theirs[name] for name in ours}


@pytest.mark.parametrize("row", PRETRAINED.values(), ids=list(PRETRAINED))
def test_every_row_is_checked_by_the_digits_that_its_file_is_named_by(row):
    digits = row.download.name.removesuffix(".pth").rpartition("-")[2]
    assert re.fullmatch("[0-9a-f]{8}", digits)
    assert row.download.sha256.startswith(digits)
    assert row.preparation.view().window(row.pixels) == row.pixels
    assert published_network(row.architecture).num_classes == len(imagenet_classes())


def test_the_classes_are_torchvisions():
    found = {}
    exec(source_of("torchvision", "models/_meta.py"), found)
    assert imagenet_classes() == tuple(found["_IMAGENET_CATEGORIES"])
    assert pretrained_weights("efficientnet-b0").row()["sha256"].startswith("7f5810bc")
