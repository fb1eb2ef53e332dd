"""Frozen descriptions of questions and changes. Standard library only; knows tables, no database."""
