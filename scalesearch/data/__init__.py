"""From a source's name to uint8 tensors and labels, and from those to batches on the device."""
