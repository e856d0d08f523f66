"""InfluxDB (v2, v1, v3) and whatever takes its line protocol, such as VictoriaMetrics."""
