"""denchi: watches a USB power bank through a USB power meter and says, with reasons, what looks wrong."""

__version__ = "0.1.0"
