"""A simulated Firebase Realtime Database, and the app whose data it holds."""
