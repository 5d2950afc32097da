"""Revisions, oldest first; a file once released never changes."""
