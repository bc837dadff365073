"""The folder of a run: checkpoints, log, curves and report, and who may begin or resume it.

Door: `checkpoint`, `run_folder`, `log.RunLog`, `described_weights`. Must not know how a network is
trained.
"""
