"""Image files found in folders, and the reasons for refusing others."""

import os
from pathlib import Path

import pytest

from scalesearch.deploy.classifier import image_paths
from scalesearch.deploy.predictions import UnreadableImage


def create_files(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def relative_paths(root, paths):
    """Paths relative to the root; a refused one with its reason."""
    relative = []
    for path in paths:
        is_refused = isinstance(path, UnreadableImage)
        name = os.path.relpath(path.image if is_refused else path, root)
        relative.append((name, path.reason) if is_refused else name)
    return relative


def test_images_of_a_folder_are_listed_in_the_order_of_their_names(tmp_path):
    create_files(tmp_path, "b.JPG", "a/z.png", "a/b/c.webp", "z/a.tiff", "a.gif", "a/0.jpeg")
    expected = ["a.gif", "b.JPG", "a/0.jpeg", "a/z.png", "a/b/c.webp", "z/a.tiff"]
    assert relative_paths(tmp_path, image_paths([tmp_path])) == expected


def test_other_files_and_hidden_files_are_ignored(tmp_path):
    create_files(tmp_path, "notes.txt", ".hidden.png", ".git/a.png", "a.png", "page.html", "png")
    assert relative_paths(tmp_path, image_paths([tmp_path])) == ["a.png"]


def test_a_file_given_by_name_is_listed_whatever_its_ending(tmp_path):
    create_files(tmp_path, "photograph", ".hidden.png")
    named = [tmp_path / "photograph", str(tmp_path / ".hidden.png"), tmp_path / "absent.png"]
    assert list(image_paths(named)) == list(map(Path, named))


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    inside, outside = (
        create_files(tmp_path / "in", "a/a.png"),
        create_files(tmp_path / "out", "secret.png"),
    )
    (inside / "b.png").symlink_to(outside / "secret.png")
    (inside / "c.png").symlink_to("../out/secret.png")
    (inside / "d.png").symlink_to("a/a.png")
    (inside / "e.png").symlink_to("/etc/passwd")
    (inside / "f.txt").symlink_to("/etc/passwd")
    (inside / "g.png").symlink_to("nowhere.png")
    reason = "a link that leads out of the folder; name its target to classify it"
    assert relative_paths(inside, image_paths([inside])) == [
        ("b.png", reason), ("c.png", reason), "d.png", ("e.png", reason), "g.png", "a/a.png",
    ]  # fmt: skip
    assert relative_paths(inside, image_paths([inside / "b.png"])) == [
        "b.png"
    ]  # this was asked for


def test_a_link_to_a_folder_with_a_similar_name_is_refused(tmp_path):
    folder, neighbour = (
        create_files(tmp_path / "in", "a.png"),
        create_files(tmp_path / "inner", "b.png"),
    )
    (folder / "b.png").symlink_to(neighbour / "b.png")
    assert [type(path) for path in image_paths([folder])] == [type(folder), UnreadableImage]


def test_links_to_folders_are_not_followed(tmp_path):
    inside, outside = (
        create_files(tmp_path / "in", "a/a.png"),
        create_files(tmp_path / "out", "b.png"),
    )
    (inside / "around").symlink_to(inside)
    (inside / "out").symlink_to(outside)
    (loop_link, loop_reason), (outside_link, outside_reason), image = relative_paths(
        inside, image_paths([inside])
    )
    assert (loop_link, outside_link, image) == ("around", "out", "a/a.png")
    assert "a link to a folder, which is not followed" in loop_reason
    assert "leads out of the folder" in outside_reason


def test_a_folder_given_as_a_link_is_listed(tmp_path):
    create_files(tmp_path / "real", "a.png", "b/b.png")
    (tmp_path / "link").symlink_to("real")
    assert relative_paths(tmp_path, image_paths([tmp_path / "link"])) == [
        "link/a.png",
        "link/b/b.png",
    ]


def test_a_folder_that_cannot_be_read_gives_a_reason(tmp_path, monkeypatch):
    create_files(tmp_path, "a/a.png", "b/b.png", "c/c.png")
    scandir = os.scandir

    def forbidding(path):  # as the tests may run as root, whom no mode forbids anything
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    reason = "a folder that cannot be read: Permission denied"
    assert relative_paths(tmp_path, image_paths([tmp_path])) == [
        "a/a.png",
        ("b", reason),
        "c/c.png",
    ]


@pytest.mark.skipif(os.name != "posix", reason="needs names that are bytes")
def test_names_that_are_not_unicode_are_listed(tmp_path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))).touch()
    (path,) = image_paths([tmp_path])
    assert os.fsencode(path).endswith(b"/\xff.png")
