"""The folder of a run: checkpoints, log, report, curves, and what several runs have reached.

Door: `checkpoint.save`, `checkpoint.newest_checkpoint`, `checkpoint.best`, `log.RunLog`,
`comparison.compare_runs`. Must not know the optimizer or the training loop.
"""
