"""The printable report of a session: one self-contained HTML page, the same as JSON and PDF, and a label."""
