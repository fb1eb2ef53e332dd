"""The same models in a blocking command-line script: `python -m {{ name }}.report`."""

from __future__ import annotations

from datalayer import pools
from {{ name }}.models import Category, Product
from {{ name }}.settings import AppSettings


def lines() -> list[str]:
    """The report: what is on sale in each category."""
    currency = AppSettings.current().currency
    found = []
    for category in Category.objects.all():
        products = list(Product.objects.on_sale().filter(category=category))
        total = sum(product.price for product in products)
        found.append(f"{category.name}: {len(products)} on sale, {total} {currency} together")
    return found or ["nothing here yet"]


def main() -> None:
    """Print the report."""
    try:
        print(*lines(), sep="\n")
    finally:
        pools.close_all()


if __name__ == "__main__":
    main()
