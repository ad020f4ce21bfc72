"""Search and suggestions over BuddyUp's profiles."""
