"""Files for other programs: ONNX, int8, families of widths, zoo package, archive, web page.

Door: `to_onnx.export`, `width_family.export_family`, `to_int8_onnx.export_int8`,
`zoo_package.package`, `model_archive.write_service`, `web_page.write_page`. Must not know how
training works inside.
"""
