"""Images: named sources, decoding, data sets, and batches on the device."""
