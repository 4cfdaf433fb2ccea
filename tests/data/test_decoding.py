"""One image at a time: every kind that is read, and what is said of the others."""

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from scalesearch.data import decoding
from scalesearch.data.decoding import StoredFormat, decode_square, decode_squares

COLOUR, GREY = StoredFormat(8, "RGB"), StoredFormat(8, "L")


def saved(image, kind="PNG", **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file


def plain(colour, mode="RGB"):
    return Image.new(mode, (8, 8), colour)


def centre(pixels):
    assert not isinstance(pixels, str), pixels
    return pixels[:, 4, 4].tolist()


@pytest.mark.parametrize(
    ("image", "colour", "grey"),
    [
        (plain((200, 100, 50)), [200, 100, 50], [124]),
        (plain(90, "L"), [90] * 3, [90]),
        (plain(1, "1"), [255] * 3, [255]),
        (plain((200, 100, 50, 0), "RGBA"), [200, 100, 50], [124]),
        (plain((90, 0), "LA"), [90] * 3, [90]),
        (Image.fromarray(np.full((8, 8), 0x5AFF, np.uint16)), [0x5A] * 3, [0x5A]),
    ],
)
def test_each_mode_becomes_colour_or_grey_and_alpha_uncovers_what_lies_beneath(image, colour, grey):
    assert centre(decode_square(saved(image), COLOUR)) == colour
    assert centre(decode_square(saved(image), GREY)) == grey


def test_inks_become_light_also_as_adobe_inverts_them():
    inks = plain((0, 255, 255, 0), "CMYK")
    red = centre(decode_square(saved(inks, "JPEG", quality=95), COLOUR))
    assert red[0] > 250
    assert max(red[1:]) < 5
    assert centre(decode_square(saved(inks, "TIFF"), COLOUR)) == [255, 0, 0]


def test_sixteen_bits_of_each_colour_keep_the_upper_eight():
    row = b"\0" + struct.pack(">3H", 0xC8FF, 0x6400, 0x32FF) * 8
    file = png(8, 8, 16, 2, zlib.compress(row * 8))
    assert centre(decode_square(file, COLOUR)) == [0xC8, 0x64, 0x32]


def test_a_profile_of_colours_is_no_reason_to_fail():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = saved(plain((9, 8, 7)), icc_profile=profile)
    assert centre(decode_square(file, COLOUR)) == [9, 8, 7]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_white_are_refused(mode):
    reason = decode_square(saved(Image.new(mode, (8, 8), 70_000), "TIFF"), COLOUR)
    assert "its values have 32 bits" in reason
    assert decode_square(Image.new(mode, (8, 8), 70_000), COLOUR) == reason


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_callers_own_image_is_turned_as_its_file_is_and_stays_as_it_was(orientation, picture):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(picture(3, (11, 8)), exif=exif)
    with Image.open(file) as own:
        expected = np.asarray(ImageOps.exif_transpose(own).convert("RGB"))
        assert np.array_equal(decode_square(own, COLOUR), decode_square(file, COLOUR))
        assert own.size == (11, 8)
        assert own.getexif()[0x0112] == orientation
    offset = (max(expected.shape) - 8) // 2
    rows, columns = (slice(offset, offset + 8) if n == 11 else slice(8) for n in expected.shape[:2])
    assert np.array_equal(decode_square(file, COLOUR), expected[rows, columns].transpose(2, 0, 1))


def png(width, height, depth, kind, compressed) -> io.BytesIO:
    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", compressed), chunk(b"IEND", b""))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize("side", [10_000, 65_000])  # Pillow warns of the one, refuses the other
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # square, by itself
def test_of_a_hundred_megapixels_nothing_is_decoded(side):
    """It would be a few kilobytes, and 400 megabytes in memory."""
    bomb = png(side, side, 8, 2, b"never looked at")
    into = np.empty((1, 3, 8, 8), np.uint8)
    for reason in (decode_square(bomb, COLOUR), *decode_squares([bomb], COLOUR, into)):
        assert reason.startswith("too many pixels to be decoded: ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        assert "pixels" not in decode_square(bomb, COLOUR)


def test_an_image_of_ones_own_may_not_be_larger_either(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 63)
    reason = decode_square(plain((1, 2, 3)), COLOUR)
    assert reason == "too many pixels to be decoded: 64; need at most 63"


@pytest.mark.parametrize("file", ["endless.webp", "endless.png"])
def test_a_file_larger_than_any_image_is_refused_before_it_is_read(tmp_path, monkeypatch, file):
    """Pillow reads a WebP whole before it knows how many pixels it has."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path = tmp_path / file
    path.write_bytes(b"RIFF\0\0\0\0WEBPVP8L")
    with path.open("r+b") as sparse:
        sparse.truncate(8001)
    assert decode_square(path, COLOUR) == "a file of 8,001 bytes; need at most 8,000"


def test_a_text_that_unpacks_to_gigabytes_is_refused_before_it_does():
    text = zlib.compress(b"\0" * 80_000_000, 9)
    body = b"zTXt" + b"Comment\0\0" + text
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    whole = saved(plain((1, 2, 3))).getvalue()
    reason = decode_square(io.BytesIO(whole[:33] + chunk + whole[33:]), COLOUR)
    assert isinstance(reason, str)
    assert "too large" in reason


def test_no_other_program_is_started_to_decode_what_is_called_an_image(monkeypatch):
    started = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *a, **k: started.append(a))
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    reason = decode_square(io.BytesIO(page), COLOUR)
    assert reason.startswith("not an image: it begins with b'%!PS-Adobe")
    assert "JPEG, PNG" in reason
    assert not started


def test_what_is_not_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert decode_square(tmp_path / "pipe.png", COLOUR) == "not a file"
    assert decode_square(tmp_path, COLOUR) == "not a file"
    assert decode_square(tmp_path / "absent.png", COLOUR) == "no such file"
    assert decode_square(Path("/dev/zero"), COLOUR) == "not a file"


def test_large_images_are_decoded_one_at_a_time(picture, monkeypatch):
    monkeypatch.setattr(decoding, "LARGE_IMAGE_PIXELS", 100)
    monkeypatch.setattr(decoding, "_thread_count", lambda: 4)
    centre, busy, alone = decoding._centre_square, threading.Semaphore(1), []

    def watching(image, geometry):
        alone.append(busy.acquire(blocking=False))
        threading.Event().wait(0.01)
        pixels = centre(image, geometry)
        busy.release()
        return pixels

    monkeypatch.setattr(decoding, "_centre_square", watching)
    files = [saved(picture(seed, (20, 20))) for seed in range(8)]
    into = np.empty((8, 3, 8, 8), np.uint8)
    assert decode_squares(files, COLOUR, into) == [None] * 8
    assert alone == [True] * 8


def test_a_batch_of_few_images_is_shared_by_the_threads(picture, monkeypatch):
    monkeypatch.setattr(decoding, "_thread_count", lambda: 4)
    together = threading.Barrier(4, timeout=30)

    def meeting(image, mode):
        together.wait()
        return image.convert(mode)

    monkeypatch.setattr(decoding, "_convert_mode", meeting)
    files = [saved(picture(seed)) for seed in range(4)]
    assert decode_squares(files, COLOUR, np.empty((4, 3, 8, 8), np.uint8)) == [None] * 4
