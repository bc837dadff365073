"""ONNX files: written from the graph at opset 7, verified against MXNet, and run.

Door: `exporter.export_network`, `graph.GraphOptions`, `runtime.OnnxModel`, `metadata.Metadata`.
Must not know the configuration or training.
"""
