"""The attributes in an HDF5 group and below it, and where its content is: `Node`.

A run file has a hundred attributes, and reading them one by one takes most of the time of reading it. So `keep_copy`
leaves them all once more in one attribute of the run's group, which `Node(group)` reads at once. `Node(group,
copy=False)` reads the attributes themselves and raises where the copy says otherwise.
"""

import json
from typing import Any
from zlib import crc32

import h5py
import numpy as np
from h5py import h5a, h5t
from numpy.typing import NDArray

COPY, CHECKSUM = "attributes", "attributes_crc32"
_TEXT = h5t.py_create(h5py.string_dtype())

Attributes = dict[str, Any]


class Node:
    """A group of a run file, or of a packed run, by its `path` below the run's own group."""

    def __init__(self, group: h5py.Group, *, copy: bool = True) -> None:
        self._run = group
        self._path = ""
        self._known: dict[str, Attributes] | None = _copied(group) if copy else None
        if not copy:
            _check_copy(group)

    @property
    def attributes(self) -> Attributes:
        """Its attributes by name; numbers, truth values and texts as Python's own, arrays as lists or arrays."""
        if self._known is not None:
            return dict(self._known[self._path])
        found = read_attributes(self._run[self._path or "."])
        return {name: value for name, value in found.items() if name not in (COPY, CHECKSUM)}

    def __contains__(self, name: str) -> bool:
        path = self._below(name)
        return path in self._run if self._known is None else path in self._known

    def __getitem__(self, name: str) -> "Node":
        """What is below it; KeyError where there is no such thing."""
        if name not in self:
            raise KeyError(f"there is no {self._below(name)}")
        node = Node.__new__(Node)
        node._run, node._path, node._known = self._run, self._below(name), self._known
        return node

    def numbered(self, name: str) -> "list[Node]":
        """The groups 0, 1, ... below a group of this name; none where there is no such group."""
        nodes: list[Node] = []
        while f"{name}/{len(nodes)}" in self:
            nodes.append(self[f"{name}/{len(nodes)}"])
        return nodes

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a dataset."""
        return tuple(self._run[self._path].shape)

    def values(self) -> NDArray[Any]:
        """The values of a dataset."""
        values: NDArray[Any] = self._run[self._path][()]
        return values

    def _below(self, name: str) -> str:
        return f"{self._path}/{name}" if self._path else name


def keep_copy(group: h5py.Group) -> None:
    """Keep a copy of all attributes of a run's group and of what is below it, once they are all written."""
    content = _all_of(group)
    group.attrs[COPY] = content
    group.attrs[CHECKSUM] = crc32(content.encode())


def _all_of(group: h5py.Group) -> str:
    found = {"": {name: value for name, value in read_attributes(group).items() if name not in (COPY, CHECKSUM)}}
    group.visititems(lambda path, item: found.__setitem__(path, read_attributes(item)))
    return json.dumps(found, sort_keys=True, default=np.ndarray.tolist)


def _copied(group: h5py.Group) -> dict[str, Attributes] | None:
    """What the copy says; None in a file of before there was one. Raises ValueError where it is not as it was made."""
    content = _content(group)
    return None if content is None else dict(json.loads(content))


def _content(group: h5py.Group) -> str | None:
    content = group.attrs.get(COPY)
    if content is None:
        return None
    checksum = group.attrs.get(CHECKSUM)
    if checksum is not None and checksum != crc32(str(content).encode(errors="replace")):
        raise ValueError(f"its attribute '{COPY}' does not have the checksum that it was given")
    return str(content)


def _check_copy(group: h5py.Group) -> None:
    content = _content(group)
    if content is not None and content != _all_of(group):
        raise ValueError(f"its attribute '{COPY}' is not the copy of all others that it should be")


def read_attributes(group: h5py.Group) -> Attributes:
    """A group's attributes by name, about twice as fast as h5py's own mapping."""
    names: list[bytes] = []
    # A callback that returns anything ends the iteration.
    h5a.iterate(group.id, names.append)
    return {name.decode(): _value(group, name) for name in names}


def _value(group: h5py.Group, name: bytes) -> Any:
    attribute = h5a.open(group.id, name)
    if attribute.shape == ():
        kind = attribute.get_type()
        what = kind.get_class()
        if what == h5t.FLOAT:
            number = np.empty((), np.float64)
            attribute.read(number, mtype=h5t.NATIVE_DOUBLE)
            return float(number)
        if what == h5t.INTEGER:
            whole = np.empty((), np.int64)
            attribute.read(whole, mtype=h5t.NATIVE_INT64)
            return int(whole)
        if what == h5t.STRING and kind.is_variable_str():
            text = np.empty((), object)
            attribute.read(text, mtype=_TEXT)
            found = text[()]
            return found.decode() if isinstance(found, bytes) else found
    value = group.attrs[name.decode()]
    return value.item() if isinstance(value, np.generic) else value
