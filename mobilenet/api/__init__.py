"""What `import mobilenet` offers: models, runs, records and results for Python and notebooks.

Door: `model.load`, `run.train`, `records.prepare`, `weights_table.weights`,
`gluon_block.MobileNetV2`. Must not know the command line.
"""
