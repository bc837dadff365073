"""Published weights by name: the table of them, their downloads, and their store on this disk.

Door: `published_weights.find`, `published_weights.published_at`, `store.fetch`,
`weights_of_any_kind.read_weights`, `weights_of_any_kind.initial_weights`, `listing.table`.
Must not know training or inference.
"""
