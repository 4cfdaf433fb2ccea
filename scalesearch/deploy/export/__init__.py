"""Export formats: ONNX, int8, torch.export, and standalone source code."""
