"""Published weights by name: a table of them, their download, and a local store.

Door: `published_weights.find`, `published_weights.published_at`, `store.fetch`,
`weights_of_any_kind.read_weights`, `weights_of_any_kind.initial_weights`, `listing.table`.
Must not know training or inference.
"""
