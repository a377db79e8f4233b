"""Training, calibration and evaluation; never imported by the app."""
