"""Training of one network: a pure function of its job, bit for bit on the CPU."""
