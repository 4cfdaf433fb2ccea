"""The table of published weights agrees with the packages of the publishers."""

import importlib.util
import re
from pathlib import Path

import pytest

from scalesearch.deploy.pretrained.from_source import imagenet_classes
from scalesearch.deploy.pretrained.published_weights import PRETRAINED, pretrained_weights
from scalesearch.models.named import published_network


def source_of(package: str, file: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"needs {package}")
    return (Path(spec.origin).parent / file).read_text(encoding="utf-8")


def test_the_table_has_the_files_that_torchvision_downloads():
    text = source_of("torchvision", "models/efficientnet.py")
    published = re.findall(
        r'url="(https://download\.pytorch\.org/models/efficientnet_b\d\S+)".*?'
        r"crop_size=(\d+), resize_size=(\d+), interpolation=InterpolationMode\.(\w+)",
        text,
        re.DOTALL,
    )
    table = [row for row in PRETRAINED.values() if row.layout == "torchvision"]
    assert len(published) == len(table) == 9
    assert {
        (row.download.urls[0], str(row.pixels), str(row.resize), row.interpolation.upper())
        for row in table
    } == set(published)


def test_the_table_has_the_files_that_efficientnet_pytorch_downloads():
    text = source_of("efficientnet_pytorch", "utils.py")
    published = set(re.findall(r"'(https://github\.com/lukemelas/\S+-b[0-7]-\w+\.pth)'", text))
    table = {row.download.urls[0] for row in PRETRAINED.values() if row.layout == "lukemelas"}
    assert len(published) == 16
    assert table == published


def test_the_table_has_the_files_that_timm_downloads():
    text = source_of("timm", "models/efficientnet.py")
    rows = re.findall(
        r"'(tf_efficientnet_b[0-7]\.\w+)': _cfg\(\s*url='https://github\.com/\w+/"
        r"pytorch-image-models/releases/download/v0\.1-weights/(\S+?)',(.*?)\),\n",
        text,
        re.DOTALL,
    )
    published = {}
    for name, file, settings in rows:
        crop = re.search(r"\bcrop_pct=([\d.]+)", settings)
        pixels = int(re.search(r"\(3, (\d+)", settings)[1])
        resize = int(pixels / float(crop[1] if crop else 0.875))
        published[name] = (file, pixels, resize, "INCEPTION" in settings)
    table = {
        row.name: (row.download.name, row.pixels, row.resize, row.uses_inception_statistics)
        for row in PRETRAINED.values()
        if row.layout == "timm-tf"
    }
    assert len(table) == 30
    assert table == {name: published[name] for name in table}


@pytest.mark.parametrize("row", PRETRAINED.values(), ids=list(PRETRAINED))
def test_the_hash_of_every_row_begins_with_the_digits_of_its_file_name(row):
    digits = row.download.name.removesuffix(".pth").rpartition("-")[2]
    assert re.fullmatch("[0-9a-f]{8}", digits)
    assert row.download.sha256.startswith(digits)
    assert row.preparation.view().window(row.pixels) == row.pixels
    assert published_network(row.architecture).num_classes == len(imagenet_classes())


def test_the_imagenet_classes_are_those_of_torchvision():
    namespace = {}
    exec(source_of("torchvision", "models/_meta.py"), namespace)
    assert imagenet_classes() == tuple(namespace["_IMAGENET_CATEGORIES"])
    assert pretrained_weights("efficientnet-b0").row()["sha256"].startswith("7f5810bc")
