"""Batteries that speak for themselves: boards with their own telemetry, and the system's own supplies.

A package a family, found by the entry-point group ``denchi.meters`` like the meters: ``__init__`` holds its ``MeterSpec``s,
``codec.py`` the bytes, ``emulator.py`` the other side, written from the protocol page.
"""
