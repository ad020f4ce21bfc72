"""The messages of chatbots: what they exchanged, what is computed from it, and its exports."""
