"""One training run: learning rate schedule, optimizer, loss and the loop over epochs.

Door: `training_run.train`. Must not know validation of other models or export.
"""
