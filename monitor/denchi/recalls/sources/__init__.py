"""Feeds of recall notices: one module a regulator. Found through the entry points ``denchi.recall_sources``."""
