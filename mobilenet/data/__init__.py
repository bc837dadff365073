"""Record files into batches: reading, decoding, augmenting and normalising images.

Door: `record_file.RecordFile`, `record_file.RecordWriter`, `batch_reader.TrainReader`,
`batch_reader.EvalReader`, `training_augmentation.TrainTransform`, `eval_transforms.EvalTransform`.
Must not know the configuration or the network.
"""
