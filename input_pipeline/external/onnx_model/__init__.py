"""An ONNX file: its session, its inputs, its inner tensors."""
