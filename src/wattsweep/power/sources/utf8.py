"""A stream that stops at bytes that are no text."""

import codecs
import io
from typing import Any


class Utf8Stream(io.RawIOBase):
    """The bytes of a binary stream; reading raises UnicodeDecodeError where they are not UTF-8.

    Arrow's CSV reader hands rows of another length to Python as text. Where such a row is none, that fails where nobody
    can catch it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; how many bytes, 0 at the end."""
        block = self._stream.read(len(buffer))
        self._decoder.decode(block, final=not block)
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Close the stream as well."""
        self._stream.close()
        super().close()
