"""Folders of images: what is taken from them, and what is refused."""

import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused

from scalesearch.config.experiment import DataSpec
from scalesearch.data.sources.by_name import load_dataset, load_test_split
from scalesearch.errors import DataError

BOTH = {"train/ant": 6, "train/bee": 6}
HELD_OUT = {"val/ant": 1, "val/bee": 1, "test/ant": 1, "test/bee": 1}


@pytest.fixture
def load_folder(cache):
    def loaded(root, seed=0, **options):
        return load_dataset(DataSpec(source=f"imagefolder:{root}", **options), seed, cache)

    return loaded


@pytest.fixture
def refuse_folder(load_folder):
    """Load a folder that is refused."""

    def refuse(root, **options) -> None:
        with refused(DataError):
            load_folder(root, **options)

    return refuse


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path)).transpose(2, 0, 1)


def test_images_labels_and_names_come_in_sorted_order(make_folder, load_folder, cache):
    root = make_folder({"train/ant": 12, "train/bee": 12, **HELD_OUT})
    data = load_folder(root)
    paths = sorted((root / "train").glob("*/*"))
    assert np.array_equal(data.train.images, np.stack([pixels(path) for path in paths]))
    assert data.train.labels.tolist() == [0] * 12 + [1] * 12
    assert data.class_names == ("ant", "bee")
    assert data.validation.labels.tolist() == [0, 1]
    assert data.allows_flip
    test = load_test_split(DataSpec(source=f"imagefolder:{root}"), cache)
    paths = sorted((root / "test").glob("*/*"))
    assert np.array_equal(test.images, np.stack([pixels(path) for path in paths]))


def test_the_split_does_not_depend_on_where_the_folder_lies_or_when_it_was_written(
    make_folder, load_folder, tmp_path
):
    root = make_folder({"ant": 20, "bee": 20})
    elsewhere = tmp_path / "some" / "where else"
    shutil.copytree(root, elsewhere, copy_function=shutil.copyfile)
    assert load_folder(root, seed=4).fingerprint == load_folder(elsewhere, seed=4).fingerprint


def test_class_folders_may_lie_in_train_or_directly_in_the_folder(make_folder, load_folder):
    bare = make_folder({"ant": 9, "bee": 9}, "bare")
    parted = make_folder({"train/ant": 9, "train/bee": 9}, "parted")
    assert load_folder(bare).fingerprint == load_folder(parted).fingerprint


def test_other_files_and_hidden_ones_are_passed_over(make_folder, load_folder, picture):
    root = make_folder({**BOTH, ".git/objects": 1, "train/ant/deeper.png": 0})
    before = load_folder(root).fingerprint
    (root / "train/ant/notes.txt").write_text("not an image")
    picture(90).save(root / "train/bee/.hidden.png")
    assert load_folder(root).fingerprint == before


@pytest.mark.parametrize("extension", ["JPG", "jpeg", "png", "BMP", "webp", "Gif"])
def test_every_extension_counts_whatever_its_case(make_folder, load_folder, picture, extension):
    root = make_folder({"train/ant": 2, "train/bee": 3, **HELD_OUT})
    picture(91).save(root / f"train/ant/more.{extension}")
    assert load_folder(root).train.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_colour_wins_unless_all_images_are_grey(make_folder, load_folder, picture):
    root = make_folder(BOTH, mode="L")
    assert load_folder(root).channels == 1
    picture(92).save(root / "train/bee/colour.png")
    assert load_folder(root).channels == 3


def test_sixteen_bit_grey_is_scaled_and_not_clipped(make_folder, load_folder):
    root = make_folder({"train/ant": 0, "train/bee": 0, **HELD_OUT}, mode="L", size=(4, 4))
    for folder in root.glob("train/*"):
        for number in range(2):
            grey = np.full((4, 4), 0x8000 + 0x1000 * number, dtype=np.uint16)
            Image.fromarray(grey).save(folder / f"{number}.png")
    assert load_folder(root).train.images[:, 0, 0, 0].tolist() == [0x80, 0x90] * 2


def test_a_palette_with_transparency_keeps_its_colours(make_folder, load_folder):
    root = make_folder({"train/ant": 2, "train/bee": 2, "val/ant": 0, "val/bee": 1}, size=(4, 4))
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    palette.save(root / "val/ant/palette.png", transparency=bytes([0, 128]))
    assert load_folder(root).validation.images[0, :, 0, 0].tolist() == [200, 100, 50]


def test_images_are_turned_as_their_camera_was_held(make_folder, load_folder, picture):
    root = make_folder({**BOTH, "val/ant": 0, "val/bee": 1})
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to view
    picture(93).save(root / "val/ant/turned.png", exif=exif)
    expected = np.rot90(np.asarray(picture(93)), -1).transpose(2, 0, 1)
    assert np.array_equal(load_folder(root).validation.images[0], expected)


def test_oblong_images_are_cut_to_their_centre(make_folder, load_folder, picture):
    root = make_folder({**BOTH, "val/ant": 0, "val/bee": 0})
    picture(94, (14, 8)).save(root / "val/ant/wide.png")
    picture(95, (8, 12)).save(root / "val/bee/tall.png")
    wide, tall = load_folder(root).validation.images
    assert np.array_equal(wide, np.asarray(picture(94, (14, 8)))[:, 3:11].transpose(2, 0, 1))
    assert np.array_equal(tall, np.asarray(picture(95, (8, 12)))[2:10].transpose(2, 0, 1))


def test_unequal_images_get_the_smallest_short_side_of_all(make_folder, load_folder, picture):
    root = make_folder({**BOTH, "test/ant": 1, "test/bee": 0}, size=(16, 20))
    picture(96, (31, 11)).save(root / "test/bee/small.png")
    assert load_folder(root).pixels == 11


def test_images_are_resized_antialiased_to_the_pixels_asked_for(make_folder, load_folder):
    root = make_folder({**BOTH, "val/ant": 1, "val/bee": 1}, size=(24, 24))
    image = Image.open(next((root / "val/ant").iterdir()))
    expected = np.asarray(image.resize((6, 6), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(load_folder(root, pixels=6).validation.images[0], expected)


def test_a_large_photograph_keeps_the_detail_of_its_small_square(make_folder, load_folder, picture):
    root = make_folder({**BOTH, "val/ant": 0, "val/bee": 1})
    path = root / "val/ant/photograph.jpg"
    picture(97, (16, 16)).resize((128, 128)).save(path, quality=95)
    ours = load_folder(root, pixels=16).validation.images[0].numpy().astype(int)
    full = Image.open(path).resize((16, 16), Image.Resampling.BILINEAR)
    difference = np.abs(ours - np.asarray(full).transpose(2, 0, 1))
    assert difference.mean() < 4


def test_a_missing_folder_is_refused(tmp_path, refuse_folder):
    refuse_folder(tmp_path / "absent")


def test_a_file_in_place_of_a_folder_is_refused(tmp_path, refuse_folder):
    (tmp_path / "file").touch()
    refuse_folder(tmp_path / "file")


def test_a_source_without_a_path_is_refused(load_folder):
    with refused(DataError):
        load_folder("")


def test_an_empty_folder_is_refused(tmp_path, refuse_folder):
    refuse_folder(tmp_path)


def test_a_folder_without_class_folders_is_refused(tmp_path, refuse_folder, picture):
    picture(0).save(tmp_path / "image.png")
    refuse_folder(tmp_path)


def test_train_without_class_folders_is_refused(make_folder, refuse_folder):
    refuse_folder(make_folder({"train": 3}))


def test_a_single_class_is_refused(make_folder, refuse_folder):
    refuse_folder(make_folder({"ant": 3}))


def test_parts_without_train_are_refused(make_folder, refuse_folder):
    refuse_folder(make_folder({"test/ant": 3, "test/bee": 3}))


def test_two_names_for_validation_are_refused(make_folder, refuse_folder):
    root = make_folder({**BOTH, "val/ant": 1, "validation/ant": 1})
    refuse_folder(root)


def test_a_part_without_images_is_refused(make_folder, refuse_folder):
    root = make_folder({**BOTH, "test/ant": 0, "test/bee": 0})
    refuse_folder(root)


def test_classes_with_a_single_image_are_named(make_folder, refuse_folder):
    root = make_folder({"ant": 4, "bee": 1, "cow": 0})
    refuse_folder(root)


def test_other_classes_in_validation_are_named(make_folder, refuse_folder):
    root = make_folder({**BOTH, "val/ant": 1, "val/cow": 1})
    refuse_folder(root)


def test_a_corrupt_image_is_named(make_folder, refuse_folder, cache):
    root = make_folder(BOTH)
    whole = (root / "train/bee/002.png").read_bytes()
    (root / "train/bee/002.png").write_bytes(whole[: len(whole) // 2])
    refuse_folder(root)
    assert not list(cache.iterdir())  # nothing half done stays


def test_all_corrupt_images_are_counted_and_the_first_listed(make_folder, refuse_folder):
    root = make_folder({"train/ant": 10, "train/bee": 3})
    for number in range(8):
        (root / f"train/ant/{number:03d}.png").write_bytes(b"")
    refuse_folder(root)


def test_a_web_page_named_as_an_image_is_recognised(make_folder, refuse_folder):
    root = make_folder(BOTH)
    (root / "train/ant/page.jpg").write_text("<!DOCTYPE html><title>404</title>")
    refuse_folder(root)


def test_a_folder_of_nothing_but_corrupt_images_is_refused(make_folder, refuse_folder):
    root = make_folder(BOTH)
    for path in root.glob("*/*/*"):
        path.write_bytes(b"?")
    refuse_folder(root, skip_corrupt=True)


@pytest.mark.parametrize("excess", [1.5, 3])  # Pillow warns beyond its limit, refuses beyond twice
def test_a_decompression_bomb_counts_as_corrupt(make_folder, refuse_folder, monkeypatch, excess):
    root = make_folder(BOTH)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    Image.new("RGB", (20, int(20 * excess))).save(root / "train/ant/bomb.png")
    refuse_folder(root)


def test_corrupt_images_are_left_out_if_asked_with_a_warning_each_time(
    make_folder, load_folder, refuse_folder
):
    root = make_folder({**BOTH, **HELD_OUT})
    paths = [path for path in sorted((root / "train").glob("*/*")) if path.name != "003.png"]
    for path in (root / "train").glob("*/003.png"):
        path.write_bytes(b"broken")
    for _ in range(2):  # decoded, then from the cache
        with pytest.warns(UserWarning, match="2 of 16 images cannot be read and are left out"):
            data = load_folder(root, skip_corrupt=True)
        assert np.array_equal(data.train.images, np.stack([pixels(path) for path in paths]))
        assert data.train.labels.tolist() == [0] * 5 + [1] * 5
    refuse_folder(root)


def test_a_class_that_keeps_one_readable_image_is_refused(make_folder, refuse_folder):
    root = make_folder({"ant": 4, "bee": 2})
    (root / "bee/000.png").write_bytes(b"broken")
    with pytest.warns(UserWarning, match="1 of 6 images"):
        refuse_folder(root, skip_corrupt=True)


def test_remarks_on_metadata_do_not_disturb(make_folder, load_folder, picture):
    root = make_folder(BOTH)
    picture(98).save(
        root / "train/ant/odd.jpg", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\x00"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_folder(root)
    assert not caught


def test_images_live_in_memory_and_may_be_changed(make_folder, load_folder):
    images = load_folder(make_folder(BOTH)).train.images
    images.zero_()
    assert not torch.any(images)
