"""The commands, by subject: their arguments, what they print, and their exit codes.

Every command imports its use case itself, so that `mobilenet --help` loads neither MXNet nor ONNX.

Door: a function for each command that adds it to the parser. Must not know how the work is done.
"""
