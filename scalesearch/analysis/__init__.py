"""From a results table to a conclusion, without torch and Optuna."""
