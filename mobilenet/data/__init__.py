"""Images from their sources to batches: record files, transforms, packing and reading."""
