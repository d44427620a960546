"""Writers of the export formats: TorchScript, torch.export, ONNX and 8-bit ONNX."""
