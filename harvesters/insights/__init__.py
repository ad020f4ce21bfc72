"""BuddyUp's answers: what its events say about sign-ups, buddies and success. One module an answer.

Events become rows (`events`), rows a table (`store`), the table what is known as of an instant (`history`), and that an
answer to a question (`answers`). What each word means: docs/insights.md.
"""
