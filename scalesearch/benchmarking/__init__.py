"""How long networks take on this machine: measured, and fitted by a model that predicts others."""
