"""Frozen descriptions of tables: what models declare and everything else reads. Standard library only."""
