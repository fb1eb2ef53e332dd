"""The HTTP service: the models are the request and response bodies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Response

from datalayer import Model, atomic, pools
from datalayer.errors import IntegrityError
from {{ name }}.models import Category, Person, Product
from {{ name }}.settings import AppSettings

M = TypeVar("M", bound=Model)

logger = logging.getLogger(__name__)
HEALTH_TIMEOUT = 2.0  # seconds; whoever asks /healthz wants to know now
HEALTH_NUMBERS = ("state", "size", "max_size", "idle", "in_use", "waiting", "acquires_timed_out", "wait_time_max")


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
async def health(response: Response) -> dict[str, Any]:
    """Whether the database answers (503 when not), and how its pool is doing."""
    pool = pools["default"]
    status = "ok"
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT), pool.aconnection("read") as connection:
            await connection.execute("select 1")
    except Exception:  # whatever the reason, it goes to the log and not to the caller
        logger.exception("the database does not answer")
        status, response.status_code = "the database does not answer", 503
    numbers = pool.stats().as_dict()
    return {"status": status, "database": pool.backend, "pool": {name: numbers[name] for name in HEALTH_NUMBERS}}


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
