"""Streams of chance are named by their purpose."""

from scalesearch.seeding import stream_seed


def test_a_stream_is_the_same_for_ever() -> None:
    # changing these numbers changes every result that was ever recorded
    assert stream_seed(0, "data", 1) == 3189071058462975939
    assert stream_seed(7, "initialisation", "9f2c") == 4211243230774560216


def test_another_seed_purpose_or_epoch_is_another_stream() -> None:
    streams = [
        stream_seed(0),
        stream_seed(1),
        stream_seed(0, "data"),
        stream_seed(0, "data", 1),
        stream_seed(0, "data", 2),
        stream_seed(0, "data", "1"),
        stream_seed(0, "dropout", 1),
        stream_seed(0, "data", 1, 2),
        stream_seed(0, "data", 12),
    ]
    assert len(set(streams)) == len(streams)


def test_a_stream_has_63_bits() -> None:
    streams = [stream_seed(seed, "data") for seed in range(200)]
    assert all(0 <= value < 2**63 for value in streams)
    assert max(streams) > 2**62
