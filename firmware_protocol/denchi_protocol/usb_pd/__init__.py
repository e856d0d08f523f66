"""USB Power Delivery: messages of the wire to values, and the contract that they make.

Pure: bytes and times in, values out. ``decode`` reads one message, ``Decoder`` a stream of them,
``tracker.ContractTracker`` follows what was promised. Facts and their sources: usb_pd.md of the
research pages, repeated beside the code where sources differ.
"""

from denchi_protocol.usb_pd.messages import Decoder, Message, decode, encode, encode_extended

__all__ = ["Decoder", "Message", "decode", "encode", "encode_extended"]
