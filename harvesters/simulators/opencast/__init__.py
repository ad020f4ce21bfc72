"""A simulated Opencast."""
