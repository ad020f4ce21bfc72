"""Tables for other programs, made from our indices: who watched how much, and with what; and who takes which course."""
