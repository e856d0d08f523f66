"""USB power meters and thermometers, a package a family: ``__init__`` its ``MeterSpec``s, ``codec.py`` the bytes,
``emulator.py`` the other side, written from the protocol page and not from the codec.

A family is found by the entry-point group ``denchi.meters``; none is named anywhere else in the house.
"""
