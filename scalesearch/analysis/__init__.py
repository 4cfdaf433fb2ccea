"""From the results table to the answer; numpy, scipy, pandas and scikit-learn only."""
