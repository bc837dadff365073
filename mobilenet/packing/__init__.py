"""Images into record files, and the check of record files.

Door: `prepare.prepare`, `prepare.PrepareOptions`, `verify.verify`. Must not know MXNet, the
configuration or the network.
"""
