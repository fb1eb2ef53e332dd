"""The rows of the models as a whole: written to a file, read from one, thrown away."""

from __future__ import annotations

from datalayer.data.dumping import dump
from datalayer.data.flushing import flush
from datalayer.data.loading import load

__all__ = ["dump", "flush", "load"]
