"""Evaluation of models: measures, plots, exports, and validation on a user's labeled folder."""
