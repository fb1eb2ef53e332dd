"""The cities over HTTP."""

from __future__ import annotations

from fastapi import APIRouter

from places.models import City

router = APIRouter()


@router.get("/cities")
async def cities(country: str, limit: int = 5) -> list[City]:
    """The largest cities of a country."""
    return await City.objects.filter(country__code=country).largest_first()[: min(limit, 100)]
