"""Makes MXNet 1.9.1 run on today's machines: Python, NumPy, shared libraries, threads.

Door: `before_mxnet.prepare_for_mxnet`, `environment.num_processors`,
`native_libraries.MissingLibraries`. Must not know MXNet or another room.
"""
