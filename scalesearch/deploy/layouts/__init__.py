"""Networks' tensors as other libraries name and turn them, by one table of layouts."""
