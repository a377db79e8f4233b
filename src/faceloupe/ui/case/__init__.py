"""Panels of the pages Cases, Case and Report."""
