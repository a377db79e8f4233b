"""Face detection, and the gates that decide whether a face can carry a verdict."""
