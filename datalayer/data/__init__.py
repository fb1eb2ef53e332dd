"""The rows of the models as a whole: written to a file, read from one, thrown away."""

from __future__ import annotations

from datalayer.data.dumping import adump, dump
from datalayer.data.flushing import aflush, flush
from datalayer.data.loading import aload, load

__all__ = ["adump", "aflush", "aload", "dump", "flush", "load"]
