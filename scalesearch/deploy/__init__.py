"""A network in use: what is in an image, and how sure one can be of it.

Networks as files: our own format, and those of others.

Results in forms that work elsewhere.
"""
