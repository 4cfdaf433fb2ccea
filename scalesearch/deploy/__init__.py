"""Networks in use: prediction, calibration, weights in and out, and export formats."""
