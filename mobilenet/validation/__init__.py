"""Validates models on every record once: accuracy, its statistics, comparisons and the report.

Door: `validate.validate`, `validate.Options`, `validate.Validation`, `model_comparison.compare`,
`run_comparison.compare_runs`, `preprocessing_audit.audit`, `checkpoint_history.history`,
`report.report_files.write_report`. Must not know training.
"""
