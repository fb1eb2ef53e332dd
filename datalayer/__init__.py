"""A Django-style data layer for typed Python, without Django."""
