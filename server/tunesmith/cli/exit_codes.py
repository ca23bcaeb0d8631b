"""How a command ends; scripts rely on these numbers."""

OK = 0
REFUSED = 1
"""Something a user can act on: a sentence with a code and a hint."""
USAGE = 2
BUG = 70
CANCELLED = 130
