"""Managers: several for a model, those that see a part of its rows, and which one relations start from."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, ClassVar, Self

import pytest

from datalayer import Field, ForeignKey, Manager, ManyToMany, Mapped, Model, Prefetch, Reverse
from datalayer.errors import ModelError, QueryError
from datalayer.models import registry
from datalayer.testing import assert_num_queries, capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

tenant: ContextVar[int] = ContextVar("tenant", default=1)

with registry.isolated():

    class Blog(Model):
        name: Mapped[str] = Field(max_length=20)
        posts: ClassVar[Reverse[Post, PostManager]]

        class Meta:
            table = "man_blog"

    class PostManager(Manager["Post"]):
        def get_queryset(self) -> Self:
            return super().get_queryset().filter(is_deleted=False)

        def starting(self, letter: str) -> Self:
            return self.filter(Post.title.startswith(letter))

    class Post(Model):
        title: Mapped[str] = Field(max_length=20)
        is_deleted: Mapped[bool] = Field(default=False)
        blog: ForeignKey[Blog] = ForeignKey(related_name="posts")
        links: ManyToMany[Post, PostManager] = ManyToMany()

        live: ClassVar[PostManager] = PostManager()
        everything: ClassVar[Manager[Post]] = Manager()

        class Meta:
            table = "man_post"
            ordering = ("title",)

    class Comment(Model):
        post: ForeignKey[Post] = ForeignKey(related_name="comments")

        class Meta:
            table = "man_comment"

    class Leaf(Model):
        comment: ForeignKey[Comment] = ForeignKey(related_name="+")

        class Meta:
            table = "man_leaf"

    class TenantManager(Manager["Record"]):
        def get_queryset(self) -> Self:
            return super().get_queryset().filter(tenant=tenant.get())

    class Record(Model):
        tenant: Mapped[int]
        parent: ForeignKey[Record | None] = ForeignKey(default=None, related_name="parts")

        objects: ClassVar[TenantManager] = TenantManager()
        all_tenants: ClassVar[Manager[Record]] = Manager()

        class Meta:
            table = "man_record"
            default_manager_name = "all_tenants"
            base_manager_name = "objects"

    registry.tables()

MODELS = (Blog, Post, Comment, Record)


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))


@pytest.fixture
def blog(tables: None, world: World) -> Any:
    """A blog with the posts a, b, and c, which is deleted softly."""
    blog = world.call(Blog.objects, "create", name="x")
    for title in "abc":
        world.call(Post.everything, "create", title=title, blog=blog, is_deleted=title == "c")
    return blog


def titles(world: World, rows: Any) -> list[str]:
    return [row.title for row in world.iterate(rows)]


def test_a_manager_sees_the_rows_it_starts_from(world: World, blog: Any) -> None:
    assert titles(world, Post.live.all()) == ["a", "b"]
    assert titles(world, Post.everything.all()) == ["a", "b", "c"]
    assert titles(world, Post.live.starting("b").order_by("-title")) == ["b"]
    assert world.call(Post.live, "count") == 2
    with pytest.raises(Post.DoesNotExist):
        world.call(Post.live, "get", title="c")


def test_relations_to_many_start_from_the_default_manager(world: World, blog: Any) -> None:
    assert titles(world, blog.posts) == ["a", "b"]
    assert titles(world, blog.posts.starting("a")) == ["a"]
    fresh = world.call(Blog.objects.prefetch_related("posts"), "get")
    assert titles(world, fresh.posts) == ["a", "b"]
    every = world.call(Blog.objects.prefetch_related(Prefetch("posts", Post.everything.all())), "get")
    assert titles(world, every.posts) == ["a", "b", "c"]
    assert isinstance(blog.posts, PostManager)


@pytest.mark.parametrize(
    ("verb", "asked", "message"),
    [
        ("add", "every", r"add\(\) links rows to one other row, and this is about every Post; .*blog.posts.add"),
        ("set", "part", r"set\(\) belongs to the relation itself, .* blog.posts.set"),
        ("clear", "none", r"clear\(\) links rows .* no relation to many leads to it"),
    ],
)
def test_what_links_belongs_to_a_relation(world: World, blog: Any, verb: str, asked: str, message: str) -> None:
    rows = {"every": Post.everything, "part": blog.posts.filter(title="a"), "none": Leaf.objects}[asked]
    with assert_num_queries(0), pytest.raises(QueryError, match=message):
        world.call(rows, verb, *[] if verb == "clear" else [[]])


def test_only_a_link_has_defaults(world: World, blog: Any) -> None:
    with (
        assert_num_queries(0),
        pytest.raises(QueryError, match=r"through_defaults .*; create\(\) of Post links nothing"),
    ):
        world.call(Post.everything, "create", title="x", through_defaults={})


def test_links_start_from_the_default_manager(world: World, blog: Any) -> None:
    a, b, c = world.iterate(Post.everything.all())
    world.call(a.links, "add", b, c)
    assert titles(world, a.links) == ["b"]
    world.call(a.links, "set", [c])
    assert world.call(Post.everything.filter(links=a), "get") == c


def test_a_row_that_a_manager_hides_is_reached_by_its_key(world: World, blog: Any) -> None:
    hidden = world.call(Post.everything, "get", title="c")
    world.call(Comment.objects, "create", post=hidden)
    for query in (Comment.objects.prefetch_related("post"), Comment.objects.select_related("post")):
        assert world.call(query, "get").post.title == "c"
    comment = world.call(Comment.objects, "get")
    world.call(comment, "load", "post")
    assert comment.post == hidden
    world.call(hidden, "refresh")
    hidden.title = "d"
    world.call(hidden, "save")
    assert world.call(hidden, "delete") == 1


def test_a_manager_may_answer_otherwise_each_time(world: World) -> None:
    for number in (1, 2):
        world.call(Record.all_tenants, "create", tenant=number)
    token = tenant.set(2)
    try:
        assert [row.tenant for row in world.iterate(Record.objects.all())] == [2]
    finally:
        tenant.reset(token)
    assert [row.tenant for row in world.iterate(Record.objects.all())] == [1]


def test_meta_names_the_managers_of_relations(world: World) -> None:
    parent = world.call(Record.all_tenants, "create", tenant=1)
    child = world.call(parent.parts, "create", tenant=2)
    assert world.iterate(parent.parts) == [child]
    with pytest.raises(Record.DoesNotExist):
        world.call(child, "refresh")
    world.call(parent, "refresh")


def test_a_manager_that_is_named_must_exist() -> None:
    with (
        registry.isolated(),
        pytest.raises(ModelError, match=r"Meta.base_manager_name is 'live'; the managers are objects"),
    ):

        class Wrong(Model):
            class Meta:
                base_manager_name = "live"


def test_a_whole_table_of_a_manager_needs_no_words(world: World, blog: Any) -> None:
    with capture_queries() as sent:
        assert world.call(Post.live.all(), "update", is_deleted=True) == 2
    assert "WHERE" in sent[0].sql
    assert titles(world, Post.live.all()) == []


def test_managers_of_abstract_parents_come_along(world: World) -> None:
    with registry.isolated():

        class Named(Model):
            name: Mapped[str] = Field(max_length=20)
            named: ClassVar[Manager[Self]] = Manager()

            class Meta:
                abstract = True

        class Thing(Named):
            class Meta:
                table = "man_thing"

        registry.tables()
        world.run(lambda: create_tables(Thing), lambda: acreate_tables(Thing))
        made = world.call(Thing.named, "create", name="a")
        assert world.iterate(Thing.named.all()) == [made]
        assert Thing.__datalayer_default_name__ == "named"  # type: ignore[attr-defined]


def test_a_manager_asks_each_time_and_only_once_for_a_list(world: World, blog: Any) -> None:
    with capture_queries() as sent:
        assert len(world.iterate(Post.everything)) == 3
    assert len(sent) == 1
    world.call(Post.everything, "create", title="d", blog=blog)
    assert len(world.iterate(Post.everything)) == 4
    assert world.call(Post.everything, "count") == 4
    if not world.is_async:
        rows = Post.everything
        assert [len(rows), len(list(rows)), rows[3].title, bool(rows)] == [4, 4, "d", True]
        world.call(Post.everything, "create", title="e", blog=blog)
        assert [len(rows), len(list(rows))] == [5, 5]
