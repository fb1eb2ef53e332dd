"""The model of the measurements: model 1 of the comparison, as in `worker.TABLE`."""

from __future__ import annotations

from datetime import datetime

from datalayer import Field, Mapped, Model


class Message(Model):
    timestamp: Mapped[datetime] = Field()
    level: Mapped[int] = Field(index=True)
    text: Mapped[str] = Field(max_length=200, index=True)
