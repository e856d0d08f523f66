"""One small file a detector; entry-point group ``denchi.detectors``."""
