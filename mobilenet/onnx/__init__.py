"""ONNX files: written at opset 7 from the network's graph, proven, and run."""
