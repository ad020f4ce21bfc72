"""Dead letters where they are kept: read, delivered once more, and dropped."""
