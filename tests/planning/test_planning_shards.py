import math

from hypothesis import given
from hypothesis import strategies as st

from wattsweep.planning.shards import pack, shard_id

Item = tuple[str, float]
items = st.lists(
    st.tuples(st.text("0123456789abcdef", min_size=4, max_size=8), st.floats(1e-3, 1e5)),
    unique_by=lambda item: item[0],
    max_size=60,
)


def packed(things: list[Item], shard_s: float = 100.0) -> list[list[Item]]:
    return pack(things, item_id=lambda item: item[0], item_s=lambda item: item[1], shard_s=shard_s)


@given(items)
def test_packing_keeps_every_item_in_order(things: list[Item]) -> None:
    assert [item for group in packed(things) for item in group] == things


@given(items)
def test_no_shard_but_a_lone_item_exceeds_twice_the_wall_time(things: list[Item]) -> None:
    for group in packed(things):
        # Rounding to a power of two is off by a factor of sqrt(2) at most.
        assert len(group) == 1 or math.fsum(seconds for _, seconds in group) <= 200.0 * math.sqrt(2) * (1 + 1e-9)


def test_shards_are_filled_to_about_their_wall_time() -> None:
    groups = packed([(f"{number:06x}", 1.0) for number in range(20_000)])
    assert 80 <= 20_000 / len(groups) <= 120


def test_adding_an_item_changes_few_shards() -> None:
    things = [(f"{number:06x}", 3.0) for number in range(3000)]
    before = {tuple(group) for group in packed(things)}
    after = {tuple(group) for group in packed([*things[:1500], ("added", 3.0), *things[1500:]])}
    # The added item falls into one shard; its cut, or a shard that became too long, may split that one and the next.
    assert len(before - after) <= 3


def ends_its_shard(item: Item) -> bool:
    """Whether it is cut after an item whatever comes before and after it."""
    return len(packed([item, ("next", 1e-3)])) == 2


@given(items, st.data())
def test_an_edit_changes_only_shards_between_the_cuts_around_it(things: list[Item], data: st.DataObject) -> None:
    """Items are added and removed; between two cuts that stay, without an edit, every shard stays."""
    kept = {thing: data.draw(st.sampled_from(["always", "always", "before", "after"])) for thing in things}
    before = [thing for thing in things if kept[thing] != "after"]
    after = [thing for thing in things if kept[thing] != "before"]
    stretches: list[list[Item]] = [[]]
    for thing in things:
        stretches[-1].append(thing)
        if kept[thing] == "always" and ends_its_shard(thing):
            stretches.append([])
    unedited = {thing for stretch in stretches if all(kept[one] == "always" for one in stretch) for thing in stretch}
    for shards, others in ((packed(before), packed(after)), (packed(after), packed(before))):
        for shard in shards:
            assert shard in others or not unedited.issuperset(shard)
            assert unedited.issuperset(shard) or unedited.isdisjoint(shard)


def test_slightly_other_predictions_move_no_cut() -> None:
    things = [(f"{number:06x}", 2.9 + (number % 7) / 10) for number in range(2000)]
    shorter = [(name, seconds * 0.98) for name, seconds in things]
    names = [[[name for name, _ in group] for group in packed(some)] for some in (things, shorter)]
    assert names[0] == names[1]


def test_a_shard_is_its_content() -> None:
    assert shard_id(["a", "b"]) == shard_id(["a", "b"])
    assert len({shard_id(["a", "b"]), shard_id(["b", "a"]), shard_id(["a"]), shard_id(["a", "b", "c"])}) == 4
