"""Files for researchers: counts, questions, users, tasks and messages of an application."""
