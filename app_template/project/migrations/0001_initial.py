"""Initial.

- create table category
- create table person
- create table product
- create table review
"""

import sqlalchemy as sa
from alembic import op

from datalayer.migrations import types

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "category",
        sa.Column("id", types.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", types.String(80), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_category"),
        sa.UniqueConstraint("name", name="uq_category_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "person",
        sa.Column("id", types.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", types.String(200), nullable=False),
        sa.Column("email", types.String(254), nullable=False),
        sa.Column("joined_at", types.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_person"),
        sa.UniqueConstraint("email", name="uq_person_email"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "product",
        sa.Column("id", types.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", types.String(200), nullable=False),
        sa.Column("price", types.Decimal(10, 2), nullable=False),
        sa.Column("stock", types.Integer(), nullable=False),
        sa.Column("status", types.String(8), nullable=False),
        sa.Column("details", types.Json(), nullable=False),
        sa.Column("category_id", types.BigInteger(), nullable=False),
        sa.Column("seller_id", types.BigInteger(), nullable=False),
        sa.Column("created_at", types.DateTime(), nullable=False),
        sa.Column("updated_at", types.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_product"),
        sa.CheckConstraint(types.sql('"price" >= 0'), name="ck_product_price_ge"),
        sa.CheckConstraint(types.sql('"status" IN (\'draft\', \'on sale\', \'sold out\')'), name="ck_product_status_choices"),
        sa.CheckConstraint(types.sql('"stock" >= 0'), name="ck_product_stock_ge"),
        sa.ForeignKeyConstraint(["category_id"], ["category.id"], name="fk_product_category_id", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["seller_id"], ["person.id"], name="fk_product_seller_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_product_category_id", "product", ["category_id"])
    op.create_index("ix_product_seller_id", "product", ["seller_id"])
    op.create_index("ix_product_status_price", "product", ["status", "price"])
    op.create_table(
        "review",
        sa.Column("id", types.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("product_id", types.BigInteger(), nullable=False),
        sa.Column("author_id", types.BigInteger(), nullable=False),
        sa.Column("stars", types.Integer(), nullable=False),
        sa.Column("text", types.Text(), nullable=False),
        sa.Column("written_at", types.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_review"),
        sa.UniqueConstraint("product_id", "author_id", name="uq_review_product_id_author_id"),
        sa.CheckConstraint(types.sql('"stars" >= 1'), name="ck_review_stars_ge"),
        sa.CheckConstraint(types.sql('"stars" <= 5'), name="ck_review_stars_le"),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name="fk_review_author_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name="fk_review_product_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_review_author_id", "review", ["author_id"])
    op.create_index("ix_review_product_id", "review", ["product_id"])


def downgrade() -> None:
    op.drop_table("review")
    op.drop_table("product")
    op.drop_table("person")
    op.drop_table("category")
