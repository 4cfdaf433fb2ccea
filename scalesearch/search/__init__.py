"""The search: which networks to train next, and the study of what was trained.

Import from the modules: a worker imports ``search.worker`` without the tuner, and starts faster.
"""
