"""The HTTP service: the models are the request and response bodies."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException

from datalayer import Model, atomic, pools
from datalayer.errors import IntegrityError
from {{ name }}.models import Category, Person, Product
from {{ name }}.settings import AppSettings

M = TypeVar("M", bound=Model)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the pools before the first request and close them after the last."""
    await pools.aopen_all(wait=True)
    try:
        yield
    finally:
        await pools.aclose_all()


app = FastAPI(title="{{ title }}", lifespan=lifespan)


@app.get("/healthz")
async def health() -> dict[str, Any]:
    """Whether the database answers, and how its pool is doing."""
    async with pools["default"].aconnection() as connection:
        await connection.execute("select 1")
    return {"status": "ok", "pool": dataclasses.asdict(pools["default"].stats())}


@app.get("/categories")
async def list_categories() -> list[Category]:
    """Every category, by name."""
    return await Category.objects.all()


@app.post("/categories", status_code=201)
async def add_category(category: Category) -> Category:
    """Add a category."""
    return await saved(category)


@app.post("/people", status_code=201)
async def add_person(person: Person) -> Person:
    """Add a person."""
    return await saved(person)


@app.get("/products")
async def list_products(page: int = 1) -> list[Product]:
    """The products on sale, a page at a time."""
    size = AppSettings.current().page_size
    start = (max(page, 1) - 1) * size
    return await Product.objects.on_sale()[start : start + size]


@app.post("/products", status_code=201)
async def add_product(product: Product) -> Product:
    """Add a product."""
    return await saved(product)


@app.get("/products/{key}")
async def get_product(key: int) -> Product:
    """One product."""
    try:
        return await Product.objects.aget(id=key)
    except Product.DoesNotExist:
        raise HTTPException(404, f"there is no product {key}") from None


async def saved(row: M) -> M:
    """Save one row in a transaction; what the database refuses is the client's mistake."""
    try:
        async with atomic():
            await row.asave()
    except IntegrityError as error:
        raise HTTPException(409, str(error)) from error
    return row
