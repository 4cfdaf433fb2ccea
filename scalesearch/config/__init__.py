"""One YAML file -> one Experiment.

How networks are trained, as frozen data.
"""
