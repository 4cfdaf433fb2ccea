"""Train a network: a pure function of the training job, bit for bit on the CPU."""
