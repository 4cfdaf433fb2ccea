"""Which files of a folder are images to be told of, and what is said of the rest."""

import os
from pathlib import Path

import pytest

from scalesearch.deploy.classifier import image_paths
from scalesearch.deploy.predictions import UnreadableImage


def touched(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def told(root, found):
    """Each path below the root, or with its reason where it is refused."""
    shown = []
    for one in found:
        refused = isinstance(one, UnreadableImage)
        name = os.path.relpath(one.image if refused else one, root)
        shown.append((name, one.reason) if refused else name)
    return shown


def test_images_in_and_below_a_folder_come_in_the_order_of_their_names(tmp_path):
    touched(tmp_path, "b.JPG", "a/z.png", "a/b/c.webp", "z/a.tiff", "a.gif", "a/0.jpeg")
    expected = ["a.gif", "b.JPG", "a/0.jpeg", "a/z.png", "a/b/c.webp", "z/a.tiff"]
    assert told(tmp_path, image_paths([tmp_path])) == expected


def test_other_files_and_hidden_ones_are_passed_over(tmp_path):
    touched(tmp_path, "notes.txt", ".hidden.png", ".git/a.png", "a.png", "page.html", "png")
    assert told(tmp_path, image_paths([tmp_path])) == ["a.png"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tmp_path):
    touched(tmp_path, "photograph", ".hidden.png")
    named = [tmp_path / "photograph", str(tmp_path / ".hidden.png"), tmp_path / "absent.png"]
    assert list(image_paths(named)) == list(map(Path, named))


def test_a_link_that_leads_out_of_the_folder_is_refused_and_one_within_is_taken(tmp_path):
    inside, outside = touched(tmp_path / "in", "a/a.png"), touched(tmp_path / "out", "secret.png")
    (inside / "b.png").symlink_to(outside / "secret.png")
    (inside / "c.png").symlink_to("../out/secret.png")
    (inside / "d.png").symlink_to("a/a.png")
    (inside / "e.png").symlink_to("/etc/passwd")
    (inside / "f.txt").symlink_to("/etc/passwd")
    (inside / "g.png").symlink_to("nowhere.png")
    out = "a link that leads out of the folder; name what it leads to, if it is meant"
    assert told(inside, image_paths([inside])) == [
        ("b.png", out), ("c.png", out), "d.png", ("e.png", out), "g.png", "a/a.png",
    ]  # fmt: skip
    assert told(inside, image_paths([inside / "b.png"])) == ["b.png"]  # this was asked for


def test_a_folder_next_to_it_that_is_called_alike_is_outside(tmp_path):
    inside, outside = touched(tmp_path / "in", "a.png"), touched(tmp_path / "inner", "b.png")
    (inside / "b.png").symlink_to(outside / "b.png")
    assert [type(one) for one in image_paths([inside])] == [type(inside), UnreadableImage]


def test_links_to_folders_are_not_followed_so_that_none_is_walked_for_ever(tmp_path):
    inside, outside = touched(tmp_path / "in", "a/a.png"), touched(tmp_path / "out", "b.png")
    (inside / "around").symlink_to(inside)
    (inside / "out").symlink_to(outside)
    (around, why), (out, reason), image = told(inside, image_paths([inside]))
    assert (around, out, image) == ("around", "out", "a/a.png")
    assert "a link to a folder, which is not followed" in why
    assert "leads out of the folder" in reason


def test_a_folder_given_through_a_link_is_taken(tmp_path):
    touched(tmp_path / "real", "a.png", "b/b.png")
    (tmp_path / "link").symlink_to("real")
    assert told(tmp_path, image_paths([tmp_path / "link"])) == ["link/a.png", "link/b/b.png"]


def test_a_folder_that_cannot_be_read_is_told_of_and_the_others_go_on(tmp_path, monkeypatch):
    touched(tmp_path, "a/a.png", "b/b.png", "c/c.png")
    scandir = os.scandir

    def forbidding(path):  # as the tests may run as root, whom no mode forbids anything
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    reason = "a folder that cannot be read: Permission denied"
    assert told(tmp_path, image_paths([tmp_path])) == ["a/a.png", ("b", reason), "c/c.png"]


@pytest.mark.skipif(os.name != "posix", reason="needs names that are bytes")
def test_names_that_are_no_text_are_found(tmp_path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))).touch()
    (found,) = image_paths([tmp_path])
    assert os.fsencode(found).endswith(b"/\xff.png")
