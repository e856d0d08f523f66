"""The journal: the truth on disk."""
