"""Weights of other programs: read without unpickling, recognised, renamed."""
