"""How good a model is: measures, plots, a user's own labeled folder."""
