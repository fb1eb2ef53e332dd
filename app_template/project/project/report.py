"""The same models in a blocking command-line script: `python -m {{ name }}.report`."""

from __future__ import annotations

import sys
from itertools import groupby

from datalayer import errors, pools
from {{ name }}.models import Product
from {{ name }}.settings import AppSettings


def lines() -> list[str]:
    """The report: what is on sale in each category."""
    currency = AppSettings.current().currency
    products = Product.objects.on_sale().select_related("category").order_by("category__name", "name")
    found: list[str] = []
    for category, group in groupby(products, key=lambda product: product.category.name):
        prices = [product.price for product in group]
        found.append(f"{category}: {len(prices)} on sale, {sum(prices)} {currency} together")
    return found or ["nothing here yet"]


def main() -> None:
    """Print the report; what the data layer says went wrong is one line."""
    try:
        print(*lines(), sep="\n")
    except errors.DatalayerError as error:
        sys.exit(f"error: {error}")
    finally:
        pools.close_all()


if __name__ == "__main__":
    main()
