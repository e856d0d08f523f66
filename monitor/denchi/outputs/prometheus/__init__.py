"""An endpoint that Prometheus scrapes (extra ``prometheus``); off by default, loopback by default."""
