import json
from pathlib import Path

from wattsweep.config import reference


def test_the_schema_is_the_one_that_the_models_generate(repository: Path) -> None:
    written = json.loads((repository / reference.SCHEMA_PATH).read_text(encoding="utf-8"))
    assert written == reference.schema(), "run `make reference`"


def test_the_reference_page_is_the_one_that_the_models_generate(repository: Path) -> None:
    assert (repository / reference.PAGE_PATH).read_text(encoding="utf-8") == reference.page(), "run `make reference`"


def test_the_reference_page_names_every_key() -> None:
    page = reference.page()
    for key in ("powers_of_two", "`min_window`", "`ipmi.address`", "`simulated.refresh`", "`shard_wall_time`"):
        assert key in page
