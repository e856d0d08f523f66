"""Instruments as the machine sees them: discovery, hot-plug, and one thread a meter (``link.py``) that moves
bytes between a transport and a sans-I/O codec.
"""
