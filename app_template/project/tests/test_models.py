"""The models, on a migrated test database; `db` comes with datalayer and undoes what each test did."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from datalayer.errors import CheckViolation, UniqueViolation
from datalayer.testing import assert_num_queries
from {{ name }}.models import Category, Person, Product, Review, Status
from {{ name }}.report import lines

pytestmark = pytest.mark.usefixtures("db")


def lamp(**values: Any) -> Product:
    category, _ = Category.objects.get_or_create(name="light")
    seller, _ = Person.objects.get_or_create(email="ada@example.org", defaults={"name": "Ada"})
    given: dict[str, Any] = {"name": "lamp", "price": Decimal("19.90"), "status": Status.ON_SALE, **values}
    return Product.objects.create(category=category, seller=seller, **given)


def test_manager_methods_chain() -> None:
    lamp()
    lamp(name="dear lamp", price=Decimal("900.00"))
    lamp(name="draft", status=Status.DRAFT)
    assert [p.name for p in Product.objects.on_sale().cheaper_than(Decimal(100))] == ["lamp"]


def test_details_and_timestamps_come_back() -> None:
    saved = lamp(details={"watt": 40, "colours": ["red"]})
    found = Product.objects.get(id=saved.id)
    assert found.details == {"watt": 40, "colours": ["red"]}
    assert found.created_at.tzinfo is not None
    assert found.price == Decimal("19.90")


def test_one_review_per_person() -> None:
    product = lamp()
    Review.objects.create(product=product, author=product.seller, stars=5)
    with pytest.raises(UniqueViolation):
        Review.objects.create(product=product, author=product.seller, stars=1)


def test_stock_never_falls_below_nothing() -> None:
    product = lamp(stock=1)
    with pytest.raises(CheckViolation):
        Product.objects.filter(id=product.id).update(stock=Product.stock - 2)


def test_report_counts_what_is_on_sale_in_one_query() -> None:
    lamp()
    lamp(name="draft", status=Status.DRAFT)
    with assert_num_queries(1):
        assert lines() == ["light: 1 on sale, 19.90 EUR together"]
