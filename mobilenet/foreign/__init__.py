"""Weights of other programs: read without unpickling, recognised and renamed.

Door: `import_weights.import_weights`. Must not know training.
"""
