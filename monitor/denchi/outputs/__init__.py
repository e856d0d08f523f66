"""Destinations that read the journal by cursor; entry-point group ``denchi.outputs``."""
