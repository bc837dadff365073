"""One training run: the loop over epochs, its steps, and what a step is made of.

Only `build`, `opened_teacher` and `training_run` know the configuration; everything else takes
finished parts and plain values.

Door: `training_run.train`. Must not know validation's reports or export.
"""
