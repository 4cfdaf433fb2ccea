import threading
from contextlib import ExitStack
from queue import SimpleQueue

from scalesearch.locks import lock_checkpoint, remove_checkpoint

PATIENCE = 200.0


def test_a_locked_checkpoint_is_not_removed(tmp_path):
    checkpoint = tmp_path / "checkpoints" / "a-0.pt"
    with lock_checkpoint(checkpoint, lambda: None):
        checkpoint.write_text("state")
        assert not remove_checkpoint(checkpoint)
        assert checkpoint.exists()
    (tmp_path / "checkpoints" / "a-0.pt.part").write_text("torn")
    assert remove_checkpoint(checkpoint)
    assert not list(checkpoint.parent.iterdir())


def test_a_checkpoint_without_a_lock_file_is_removed(tmp_path):
    checkpoint = tmp_path / "a-0.pt"
    checkpoint.write_text("state")
    assert remove_checkpoint(checkpoint)
    assert remove_checkpoint(checkpoint)
    assert not list(tmp_path.iterdir())


def test_waiting_for_a_removed_lock_continues_with_the_new_one(tmp_path):
    checkpoint = tmp_path / "a-0.pt"
    told: SimpleQueue[str] = SimpleQueue()

    def late():
        with lock_checkpoint(checkpoint, lambda: told.put("waits")):
            told.put("holds")

    other = threading.Thread(target=late, daemon=True)
    with ExitStack() as new:
        with lock_checkpoint(checkpoint, lambda: None):
            other.start()
            assert told.get(timeout=PATIENCE) == "waits"
            checkpoint.with_suffix(".lock").unlink()
            new.enter_context(lock_checkpoint(checkpoint, lambda: None))
        assert told.get(timeout=PATIENCE) == "waits"
    assert told.get(timeout=PATIENCE) == "holds"
    other.join(PATIENCE)
