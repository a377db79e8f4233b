"""Engines that analyze the files of a batch: local worker processes, or a Ray cluster."""
