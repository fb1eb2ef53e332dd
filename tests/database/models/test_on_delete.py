"""What a delete does to rows that refer to the deleted one, in all its forms."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import (
    CASCADE,
    DO_NOTHING,
    PROTECT,
    RESTRICT,
    SET,
    SET_NULL,
    Field,
    ForeignKey,
    ManyToMany,
    Mapped,
    Model,
    ModelBase,
    atomic,
)
from datalayer.errors import ForeignKeyViolation, InvalidValue, ModelError, ProtectedError
from datalayer.models import registry
from datalayer.testing import capture_queries, create_tables
from datalayer.testing.tables import acreate_tables
from tests.worlds import World

with registry.isolated():

    class Artist(Model):
        name: Mapped[str] = Field(max_length=20, default="a")

        class Meta:
            table = "od_artist"

    class Album(Model):
        artist: ForeignKey[Artist] = ForeignKey(on_delete=CASCADE, related_name="albums")

        class Meta:
            table = "od_album"

    class Song(Model):
        artist: ForeignKey[Artist] = ForeignKey(on_delete=CASCADE, related_name="songs")
        album: ForeignKey[Album] = ForeignKey(on_delete=RESTRICT, related_name="songs")

        class Meta:
            table = "od_song"

    class Invoice(Model):
        album: ForeignKey[Album] = ForeignKey(on_delete=PROTECT, related_name="invoices")
        line: ForeignKey[Line | None] = ForeignKey(on_delete=PROTECT, fields=("line_a", "line_b"), default=None)
        line_a: Mapped[int | None] = Field(default=None)
        line_b: Mapped[int | None] = Field(default=None)

        class Meta:
            table = "od_invoice"

    class Line(ModelBase):
        a: Mapped[int]
        b: Mapped[int]

        class Meta:
            table = "od_line"
            primary_key = ("a", "b")

    class Node(Model):
        parent: ForeignKey[Node | None] = ForeignKey(on_delete=CASCADE, default=None, related_name="children")
        twin: ForeignKey[Node | None] = ForeignKey(on_delete=SET_NULL, default=None, related_name="+")
        friends: ManyToMany[Node] = ManyToMany()

        class Meta:
            table = "od_node"

    class Desk(Model):
        name: Mapped[str] = Field(max_length=20, unique=True)
        room: ForeignKey[Desk | None] = ForeignKey(on_delete=CASCADE, default=None, related_name="desks")

        class Meta:
            table = "od_desk"

    class Ticket(Model):
        desk: ForeignKey[Desk] = ForeignKey(on_delete=SET(lambda: fallback["desk"]), related_name="tickets")
        room: ForeignKey[Desk | None] = ForeignKey(on_delete=SET(None), default=None, related_name="+")
        place: ForeignKey[Desk] = ForeignKey(on_delete=SET("front"), to_field="name", related_name="+")
        line: ForeignKey[Line | None] = ForeignKey(on_delete=SET((7, 8)), fields=("line_a", "line_b"), default=None)
        line_a: Mapped[int | None] = Field(default=None)
        line_b: Mapped[int | None] = Field(default=None)

        class Meta:
            table = "od_ticket"

    fallback: dict[str, Any] = {}

    class Note(Model):
        node: ForeignKey[Node] = ForeignKey(on_delete=DO_NOTHING)

        class Meta:
            table = "od_note"

    registry.tables()

MODELS = (Artist, Album, Song, Invoice, Line, Node, Desk, Ticket, Note)


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(*MODELS), lambda: acreate_tables(*MODELS))


def make(world: World, model: Any, **values: Any) -> Any:
    return world.call(model.objects, "create", **values)


def counts(world: World, *models: Any) -> tuple[int, ...]:
    return tuple([world.call(model.objects, "count") for model in models])


def test_restrict_gives_way_to_rows_that_go_anyway(world: World) -> None:
    artist = make(world, Artist)
    album = make(world, Album, artist=artist)
    make(world, Song, artist=artist, album=album)
    assert world.call(artist, "delete") == 1
    assert counts(world, Artist, Album, Song) == (0, 0, 0)


def test_restrict_names_the_rows_that_stay(world: World) -> None:
    ann, bob = make(world, Artist), make(world, Artist)
    album = make(world, Album, artist=ann)
    song = make(world, Song, artist=bob, album=album)
    for target, name in ((album, "Album"), (ann, "Artist")):
        with pytest.raises(
            ProtectedError, match=rf"{name} rows cannot be deleted.*Song\.album of Song {song.id};"
        ) as caught:
            world.call(target, "delete")
        assert caught.value.protected_objects == (song,)
        assert (caught.value.model, isinstance(caught.value, ForeignKeyViolation)) == (name, True)
    assert counts(world, Artist, Album, Song) == (2, 1, 1)
    assert world.call(song, "delete") == 1
    assert world.call(album, "delete") == 1


def test_many_rows_at_once_are_protected_as_one_is(world: World) -> None:
    artist = make(world, Artist)
    albums = [make(world, Album, artist=artist) for _ in range(3)]
    invoice = make(world, Invoice, album=albums[1])
    with pytest.raises(ProtectedError, match=r"Invoice\.album of Invoice") as caught:
        world.call(Album.objects, "bulk_delete", albums)
    assert caught.value.protected_objects == (invoice,)
    assert counts(world, Album) == (3,)


def test_keys_of_several_columns_are_deleted_together(world: World) -> None:
    lines = [make(world, Line, a=1, b=number) for number in range(300)]
    assert world.call(Line.objects, "bulk_delete", lines) == 300
    assert counts(world, Line) == (0,)


def test_protect_names_the_rows_over_a_cascade(world: World) -> None:
    artist = make(world, Artist)
    album = make(world, Album, artist=artist)
    invoices = [make(world, Invoice, album=album) for _ in range(7)]
    with pytest.raises(ProtectedError, match=r"Invoice\.album of Invoice \d+, .* and 2 more") as caught:
        world.call(Artist.objects.filter(name="a"), "delete")
    assert list(caught.value.protected_objects) == invoices
    assert counts(world, Artist, Album, Invoice) == (1, 1, 7)


def test_protect_names_the_reference_in_the_way(world: World) -> None:
    album = make(world, Album, artist=make(world, Artist))
    make(world, Invoice, album=album)
    with pytest.raises(ProtectedError) as caught:
        world.call(album, "delete")
    error, table = caught.value, Invoice.table
    assert (error.model, error.table, error.columns) == ("Album", table.name, ("album_id",))
    assert error.constraint in {key.name for key in table.foreign_keys if key.fields == ("album_id",)}
    assert error.values == {"album_id": album.id}


def test_keys_of_several_columns_protect_as_well(world: World) -> None:
    line, other = make(world, Line, a=1, b=2), make(world, Line, a=1, b=3)
    album = make(world, Album, artist=make(world, Artist))
    invoice = make(world, Invoice, album=album, line=line)
    with pytest.raises(ProtectedError, match=r"Invoice\.line of Invoice") as caught:
        world.call(Line.objects.all(), "delete")
    assert caught.value.protected_objects == (invoice,)
    assert world.call(other, "delete") == 1


def test_a_refused_delete_leaves_the_transaction_usable(world: World) -> None:
    artist = make(world, Artist)
    make(world, Invoice, album=make(world, Album, artist=artist))

    def blocking() -> None:
        with atomic():
            with pytest.raises(ProtectedError):
                artist.delete()
            artist.name = "b"
            artist.save()

    async def awaiting() -> None:
        async with atomic():
            with pytest.raises(ProtectedError):
                await artist.adelete()
            artist.name = "b"
            await artist.asave()

    world.run(blocking, awaiting)
    assert world.call(Artist.objects, "get").name == "b"


def tickets(world: World) -> tuple[Any, Any, Any]:
    """The desk that rows fall back to, another one, and a desk in the room of that, each with a ticket."""
    front = make(world, Desk, name="front")
    back = make(world, Desk, name="back")
    corner = make(world, Desk, name="corner", room=back)
    for desk in (front, back, corner):
        make(world, Ticket, desk=desk, room=desk, place=desk)
    fallback["desk"] = front
    return front, back, corner


def kept(world: World) -> list[tuple[Any, ...]]:
    return world.iterate(Ticket.objects.order_by("id").values_list("desk_id", "room_id", "place_id"))


@pytest.mark.parametrize("is_query", [False, True])
def test_set_refers_to_another_row_where_rows_go_and_where_cascades_take_them(world: World, is_query: bool) -> None:
    front, back, _ = tickets(world)
    assert world.call(Desk.objects.filter(name="back") if is_query else back, "delete") == 1
    assert kept(world) == [(front.id, front.id, "front"), (front.id, None, "front"), (front.id, None, "front")]
    assert counts(world, Desk, Ticket) == (1, 3)


def test_set_takes_a_key_and_a_key_of_several_columns(world: World) -> None:
    front, _, corner = tickets(world)
    line, other = make(world, Line, a=1, b=2), make(world, Line, a=7, b=8)
    ticket = make(world, Ticket, desk=front, place=front, line=line)
    fallback["desk"] = corner.id
    world.call(line, "delete")
    world.call(ticket, "refresh")
    assert (ticket.line_a, ticket.line_b) == (other.a, other.b)
    fallback["desk"] = "x"
    with pytest.raises(InvalidValue, match=r"Ticket\.desk_id cannot be 'x'"):
        world.call(corner, "delete")
    fallback["desk"] = Desk(name="new")
    with pytest.raises(InvalidValue, match="which is not saved and has no key"):
        world.call(corner, "delete")
    assert counts(world, Desk) == (3,)


def test_set_to_the_row_that_goes_is_refused_with_what_is_in_the_way(world: World) -> None:
    front, _, _ = tickets(world)
    with pytest.raises(ProtectedError, match=r"Ticket\.desk of Ticket"):
        world.call(front, "delete")
    assert counts(world, Desk, Ticket) == (3, 3)


def test_set_null_needs_a_key_that_may_be_null() -> None:
    with registry.isolated(), pytest.raises(ModelError, match=r"on_delete=SET\(value=None\) but is never null"):

        class Wrong(Model):  # pyright: ignore[reportUnusedClass]
            desk: ForeignKey[Desk] = ForeignKey(on_delete=SET(None))


def test_a_delete_that_nothing_protects_is_one_statement(world: World) -> None:
    note = make(world, Note, node=make(world, Node))
    with capture_queries() as sent:
        world.call(note, "delete")
    assert len(sent) == 1


def test_a_tree_goes_with_its_root(world: World) -> None:
    root = make(world, Node)
    child = make(world, Node, parent=root)
    for _ in range(3):
        child = make(world, Node, parent=child)
    other = make(world, Node, twin=child)
    assert world.call(root, "delete") == 1
    assert [row.twin_id for row in world.iterate(Node.objects.all())] == [None]
    assert world.call(other, "delete") == 1


def test_a_circle_goes_as_a_whole(world: World) -> None:
    a = make(world, Node)
    b = make(world, Node, parent=a)
    a.parent = b
    world.call(a, "save")
    assert world.call(a, "delete") == 1
    assert counts(world, Node) == (0,)


def test_links_go_with_either_side(world: World) -> None:
    a, b = make(world, Node), make(world, Node)
    world.call(a.friends, "add", b)
    world.call(b, "delete")
    assert world.call(a.friends.filter(), "count") == 0
    through: Any = Node.friends.through
    assert world.call(through.objects, "count") == 0


def test_do_nothing_leaves_it_to_the_database(world: World) -> None:
    node = make(world, Node)
    note = make(world, Note, node=node)
    with pytest.raises(ForeignKeyViolation, match=r"Note\.node of Note"):
        world.call(node, "delete")
    assert counts(world, Node, Note) == (1, 1)
    world.call(note, "delete")
    world.call(node, "delete")


def test_a_deleted_row_can_be_saved_again(world: World) -> None:
    artist = make(world, Artist)
    world.call(artist, "delete")
    world.call(artist, "save")
    assert counts(world, Artist) == (1,)
