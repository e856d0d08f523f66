"""What ``denchi install`` writes: a systemd unit, udev rules, a compose file with InfluxDB and Grafana."""
