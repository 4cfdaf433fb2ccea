"""The Optuna study of a search, in which everything is recorded first.

Each Optuna trial is one candidate: its parameters are the shares of the trained network, its value
is the mean accuracy over seeds, and its attributes hold the candidate's columns and one list of
measured epochs for each outcome. Records are derived from the study, and the study can be rebuilt
from them. The cost of a write does not depend on the number of trials; only ``read_trials`` reads
all of them.
"""
