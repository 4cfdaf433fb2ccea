"""Networks in use: prediction, calibration, weights, and export formats."""
