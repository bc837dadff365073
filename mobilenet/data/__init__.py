"""Turns record files into batches: reads, decodes, augments and normalises images.

Door: `record_file.RecordFile`, `record_file.RecordWriter`, `batch_reader.TrainReader`,
`batch_reader.EvalReader`, `training_augmentation.TrainTransform`, `eval_transforms.EvalTransform`,
`class_folder_labels.from_folders` for the labels of class folders.
Must not know the configuration or the network.
"""
