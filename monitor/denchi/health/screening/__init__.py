"""The guided screening: what to connect, when a step counts, and why a test is inconclusive."""
