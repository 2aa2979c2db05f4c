"""CSV as text for Arrow: nothing is guessed, rows of another length are counted, bytes that are no text stop it.

`pyarrow.csv.open_csv(Utf8Stream(file), read_options, **as_text(columns, counts, reason))`.
"""

import codecs
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv


def as_text(columns: Sequence[str], counts: Counter[str], reason: str, **parsing: Any) -> dict[str, Any]:
    """Options that read these columns as text, empty cells as empty; rows of another length go to `counts[reason]`."""

    def leave_out(_: Any) -> str:
        counts[reason] += 1
        return "skip"

    return {
        "parse_options": pyarrow.csv.ParseOptions(invalid_row_handler=leave_out, **parsing),
        "convert_options": pyarrow.csv.ConvertOptions(
            include_columns=list(columns),
            column_types=dict.fromkeys(columns, pa.string()),
            strings_can_be_null=False,
        ),
    }


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
