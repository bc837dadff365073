"""An HTTP server for one model: batches of waiting requests, limits, metrics and a clean stop.

It needs the packages of the extra `serve`.

Door: `server.serve`, `limits.Limits`. Must not know the command line or training.
"""
