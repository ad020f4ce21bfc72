"""WeNet's platform: hub, task manager, profile manager and incentive server."""
