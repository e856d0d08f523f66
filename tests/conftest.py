"""Settings of every test."""

from hypothesis import settings

# No timed assertions: a slow machine is no failure.
settings.register_profile("denchi", deadline=None)
settings.load_profile("denchi")
