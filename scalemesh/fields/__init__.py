"""What a field of a request may hold.

Each function takes what a person typed and returns it ready for use, or raises ValueError with a
sentence for that person. Patterns are ASCII and always matched whole.
"""
