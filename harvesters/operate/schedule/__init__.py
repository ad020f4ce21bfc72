"""Entries for what runs jobs by the clock: cron, systemd, Kubernetes. Texts only: nothing is installed."""
