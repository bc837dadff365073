"""What `import mobilenet` offers: models, runs, records and results for Python and notebooks.

The door is the package itself. Nothing here computes: it calls the use cases, and gives their
results a short text and a picture.
"""
