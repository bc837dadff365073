"""Packs images into record files, and checks record files.

Door: `prepare.prepare`, `prepare.PrepareOptions`, `verify.verify`, `image_sources.find`,
`damaged_images.check_decodes` for what is too damaged to be packed. Must not know MXNet, the
configuration or the network.
"""
