"""Weights of other programs: read without unpickling, recognised, renamed and checked.

Door: `import_weights.import_weights`. Must not know training.
"""
