"""Files for other programs: ONNX, int8, families of widths, model-zoo package, server archive.

Door: `to_onnx.export`, `width_family.export_family`, `to_int8_onnx.export_int8`,
`zoo_package.package`, `model_archive.write_service`. Must not know how training works inside.
"""
