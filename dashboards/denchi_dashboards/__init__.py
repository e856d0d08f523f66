"""What people look at: the TUI, reports of a session, Grafana dashboards. The top floor of denchi."""
