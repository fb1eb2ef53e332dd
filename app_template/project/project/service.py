"""The HTTP service: the models are the request and response bodies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from datalayer import Model, atomic, errors, pools
from {{ name }}.models import Category, Person, Product
from {{ name }}.settings import AppSettings

M = TypeVar("M", bound=Model)

logger = logging.getLogger(__name__)
HEALTH_TIMEOUT = 2.0  # seconds; whoever asks /healthz wants to know now
HEALTH_NUMBERS = ("state", "size", "max_size", "idle", "in_use", "waiting", "acquires_timed_out", "wait_time_max")

ANSWERS: dict[type[Exception], int] = {  # what an error of the data layer is to the caller
    errors.ObjectDoesNotExist: 404,
    errors.IntegrityError: 409,
    errors.InvalidValue: 422,
    errors.DataError: 422,
    errors.OperationalError: 503,
    errors.PoolError: 503,
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the pools before the first request and close them after the last."""
    await pools.aopen_all(wait=True)
    try:
        yield
    finally:
        await pools.aclose_all()


app = FastAPI(title="{{ title }}", lifespan=lifespan)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """Tell the caller what was wrong; trouble on our side goes to the log instead."""
    status = next(status for kind, status in ANSWERS.items() if isinstance(error, kind))
    if status < 500:
        return JSONResponse({"detail": str(error)}, status)
    logger.error("%s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse({"detail": "the database is not available; try again later"}, status)


for kind in ANSWERS:
    app.add_exception_handler(kind, answer)


@app.get("/", include_in_schema=False)
async def start() -> RedirectResponse:
    """The page where everything below can be tried."""
    return RedirectResponse("/docs")


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
    return await added(category)


@app.post("/people", status_code=201)
async def add_person(person: Person) -> Person:
    """Add a person."""
    return await added(person)


@app.get("/products")
async def list_products(page: int = Query(1, ge=1, le=1_000_000)) -> list[Product]:
    """The products on sale, a page at a time."""
    size = AppSettings.current().page_size
    return await Product.objects.on_sale()[(page - 1) * size : page * size]


@app.post("/products", status_code=201)
async def add_product(product: Product) -> Product:
    """Add a product."""
    return await added(product)


@app.get("/products/{key}")
async def get_product(key: int) -> Product:
    """One product."""
    return await Product.objects.aget(Product.id == key)


@app.post("/products/{key}/sales", status_code=201)
async def sell_product(key: int, count: int = Query(1, ge=1, le=1000)) -> Product:
    """Take some of a product from the stock, however many callers want the last one."""
    async with atomic():
        # One statement looks and takes: between a look and a save somebody else could have been faster.
        in_stock = Product.objects.filter(Product.id == key, Product.stock >= count)
        taken = await in_stock.aupdate(stock=Product.stock - count)
        product = await Product.objects.aget(Product.id == key)
    if not taken:
        raise HTTPException(409, f"only {product.stock} in stock")
    return product


async def added(row: M) -> M:
    """Insert a row; its key is the database's to give."""
    if "id" in row.model_fields_set:
        raise HTTPException(422, "the database gives the id; leave it out")
    await row.asave(force_insert=True)
    return row
