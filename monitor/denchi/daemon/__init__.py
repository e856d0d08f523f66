"""The daemon: meters to journal and health, state to listeners. Nothing here draws or decodes."""
