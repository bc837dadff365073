"""Published weights by name: which there are, where they come from, and their store on this disk.

The door is `published_weights.find` and `store.fetch`. Nothing here knows of training, or of what
is done with the weights.
"""
