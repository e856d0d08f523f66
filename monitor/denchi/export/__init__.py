"""Recordings read and sessions written: CSV, Parquet, JSON lines."""
