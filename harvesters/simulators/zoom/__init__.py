"""A simulated Zoom."""
