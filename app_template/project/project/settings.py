"""The app's own settings: typed, checked when they are read, from the same places as those of datalayer."""

from __future__ import annotations

from pydantic import Field

from datalayer import Settings


class AppSettings(Settings):
    """What {{ name }} can be told from outside."""

    currency: str = Field(default="EUR", min_length=3, max_length=3)
{% if service %}
    page_size: int = Field(default=20, ge=1, le=500)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
{% endif %}
