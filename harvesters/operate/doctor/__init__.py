"""Whether this installation can work: one file a subject, each check with its remedy. Nothing is changed."""
