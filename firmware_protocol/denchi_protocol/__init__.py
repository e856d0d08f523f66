"""denchi_protocol: bytes to values and back, for USB power meters and batteries.

Floor 0 of denchi. Nothing here does I/O, reads a clock or starts a thread: bytes and time come
in as arguments, values go out. See ``codec.py`` for the contract every family keeps and
``samples.py`` for the one type that flows through the house.
"""
