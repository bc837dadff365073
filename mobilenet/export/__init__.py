"""Files for other programs: ONNX, int8, families, zoo package, archive, web page, examples, Gluon.

Door: `to_onnx.export`, `width_family.export_family`, `to_int8_onnx.export_int8`,
`zoo_package.package`, `model_archive.write_service`, `web_page.write_page`,
`example_code.write_examples`, `gluon_files.write_symbol`. Must not know how training works inside.
"""
