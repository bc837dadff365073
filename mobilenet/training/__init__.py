"""One training run: the loop over epochs, its steps, and what a step is made of.

Door: `training_run.train`. `build` and `training_run` alone know the configuration; all else takes
finished parts and plain values. Must not know validation's reports or export.
"""
