"""The service as its callers see it; it commits, so each test gets a database of its own: `transactional_db`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from datalayer import pools
from datalayer.databases import Database
from {{ name }}.service import app


@pytest.fixture
def client(transactional_db: Database) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


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


def test_product_is_added_and_read_back(client: TestClient) -> None:
    category = client.post("/categories", json={"name": "light"}).json()
    seller = client.post("/people", json={"name": "Ada", "email": "ada@example.org"}).json()
    lamp = {"name": "lamp", "price": "19.90", "status": "on sale"}
    answer = client.post("/products", json={**lamp, "category_id": category["id"], "seller_id": seller["id"]})
    assert answer.status_code == 201, answer.text
    key = answer.json()["id"]
    assert client.get(f"/products/{key}").json()["price"] == "19.90"
    assert [p["id"] for p in client.get("/products").json()] == [key]


def test_wrong_body_and_unknown_key_are_refused(client: TestClient) -> None:
    assert client.post("/categories", json={"nam": "light"}).status_code == 422
    assert client.get("/products/404").status_code == 404


def test_second_category_of_a_name_is_a_conflict(client: TestClient) -> None:
    assert client.post("/categories", json={"name": "light"}).status_code == 201
    assert client.post("/categories", json={"name": "light"}).status_code == 409
