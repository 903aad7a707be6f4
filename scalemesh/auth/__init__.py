"""Passwords, tokens, secrets at rest, and how often somebody may try."""
