"""The commands, by subject: what each takes, and what it prints of the use case that it calls.

Every command imports its use case itself, so that `mobilenet --help` loads neither MXNet nor ONNX.
"""
