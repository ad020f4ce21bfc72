"""Operating the jobs: what they are, how their runs ended, what died, and whether this installation can work."""
