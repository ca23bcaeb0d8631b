"""Tunesmith: from a file of examples to a private endpoint that answers like them."""

__version__ = "0.1.0"
