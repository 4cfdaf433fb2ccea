"""Job -> Epochs: the only expensive verb, a pure function of the job on the CPU."""
