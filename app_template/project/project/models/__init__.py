"""The models of {{ name }}."""

from {{ name }}.models.catalog import Category, Product, Status
from {{ name }}.models.people import Person, Review

__all__ = ["Category", "Person", "Product", "Review", "Status"]
