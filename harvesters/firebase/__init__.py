"""Firebase Realtime Database: exports, loads, and the incremental harvest of events, profiles and classes."""
