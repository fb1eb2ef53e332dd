"""The models of {{ name }}."""

from __future__ import annotations

from datalayer import Field, Mapped, Model


class {{ name.title().replace("_", "") }}(Model):
    """One {{ name.replace("_", " ") }}; rename me."""

    name: Mapped[str] = Field(max_length=200)
