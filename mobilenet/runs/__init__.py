"""The folder of a run: checkpoints, log, curves and report; conditions for starting and resuming.

Door: `checkpoint.save`, `checkpoint.newest_checkpoint`, `checkpoint.best`, `log.RunLog`,
`run_folder.check`, `described_weights.described_weights`, `run_table.read_runs`. Must not know
how a network is trained.
"""
