"""Bundles: a case as one signed ZIP, which its recipient can verify."""
