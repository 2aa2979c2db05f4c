"""The page of licences is that of the packages that are pinned."""

import pytest

from benchmarks.licences import PAGE, page


@pytest.mark.slow
def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make licences`"
