"""The service as its callers see it; it commits, so each test gets a database of its own: `transactional_db`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from datalayer import pools
from datalayer.databases import Database
from {{ name }}.service import app


@pytest.fixture
def client(transactional_db: Database) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def test_start_page_is_the_documentation(client: TestClient) -> None:
    assert client.get("/").url.path == "/docs"


def test_health_shows_the_pool(client: TestClient) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["pool"]["size"] >= 1


def test_health_is_503_without_a_database(client: TestClient, tmp_path: Path) -> None:
    with pools.override("default", url=f"sqlite:///{tmp_path}/no/such/folder/db.sqlite3"):
        answer = client.get("/healthz")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def lamp(client: TestClient, **values: object) -> dict[str, Any]:
    category = client.post("/categories", json={"name": "light"}).json()
    seller = client.post("/people", json={"name": "Ada", "email": "ada@example.org"}).json()
    keys = {"category_id": category["id"], "seller_id": seller["id"]}
    answer = client.post("/products", json={"name": "lamp", "price": "19.90", "status": "on sale", **keys, **values})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_product_is_added_and_read_back(client: TestClient) -> None:
    key = lamp(client)["id"]
    assert client.get(f"/products/{key}").json()["price"] == "19.90"
    assert [p["id"] for p in client.get("/products").json()] == [key]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/categories", {"nam": "light"}, 422),
        ("/categories", {"name": "light", "id": 7}, 422),
        ("/products", {"name": "lamp", "price": "-1", "category_id": 1, "seller_id": 1}, 422),
        ("/products", {"name": "lamp", "price": "1", "category_id": 7, "seller_id": 7}, 409),
        ("/products", {"name": "lamp", "price": "1", "category_id": 10**30, "seller_id": 7}, 422),
    ],
)
def test_wrong_bodies_are_refused(client: TestClient, path: str, body: dict[str, object], status: int) -> None:
    assert client.post(path, json=body).status_code == status


@pytest.mark.parametrize("key", ["404", "9" * 30])
def test_unknown_product_is_not_found(client: TestClient, key: str) -> None:
    assert client.get(f"/products/{key}").status_code in (404, 422)
    assert client.post(f"/products/{key}/sales").status_code in (404, 422)


def test_second_category_of_a_name_is_a_conflict(client: TestClient) -> None:
    assert client.post("/categories", json={"name": "light"}).status_code == 201
    assert client.post("/categories", json={"name": "light"}).status_code == 409


def test_nothing_is_sold_twice_however_many_want_it(client: TestClient) -> None:
    path = f"/products/{lamp(client, stock=5)['id']}"
    with ThreadPoolExecutor(8) as callers:
        sales = [callers.submit(client.post, f"{path}/sales") for _ in range(20)]
        answers = [sale.result().status_code for sale in sales]
    assert sorted(answers) == [201] * 5 + [409] * 15
    assert client.get(path).json()["stock"] == 0


def test_page_before_the_first_is_refused(client: TestClient) -> None:
    assert client.get("/products", params={"page": 0}).status_code == 422
