"""The `sweeps` block: hypercubes of settings. Each axis takes one value, a list, or `powers_of_two: [a, b]`."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from wattsweep.config.messages import nearest
from wattsweep.config.types import Block
from wattsweep.datasets.names import resolve as resolve_dataset
from wattsweep.networks import SHAPES

Optimizer = Literal["adam", "rmsprop", "sgd"]
Precision = Literal["float32", "mixed_bfloat16"]
Hardware = Literal["any", "cpu", "gpu"]

T = TypeVar("T")


class PowersOfTwo(Block):
    """All powers of two from 2^a to 2^b, every `step`-th exponent, both ends included where the step meets them."""

    powers_of_two: tuple[int, int] = Field(description="First and last exponent.")
    step: int = Field(default=1, ge=1, description="Distance between exponents.")

    def values(self) -> list[int]:
        """The powers, smallest first."""
        first, last = self.powers_of_two
        if not 0 <= first <= last <= 62:
            pair = f"powers_of_two: [{first}, {last}]"
            raise ValueError(f"{pair} is not an increasing pair of exponents from 0 to 62{_exponents(first, last)}")
        return [2**exponent for exponent in range(first, last + 1, self.step)]


def _exponents(first: int, last: int) -> str:
    """The exponents that may have been meant, as part of a sentence."""
    first, last = sorted((first, last))
    if 0 <= first <= last <= 62:
        return f": write [{first}, {last}]"
    if 0 < first <= last and first & (first - 1) == 0 and last & (last - 1) == 0:
        return f": {first} is 2^{first.bit_length() - 1}, so write [{first.bit_length() - 1}, {last.bit_length() - 1}]"
    return ", such as [6, 14]"


def expand_axis(value: Any) -> Any:
    """The list of values that an axis of the config stands for; raises ValueError for an empty list."""
    if isinstance(value, dict):
        try:
            powers = PowersOfTwo.model_validate(value)
        except ValidationError:
            raise ValueError("a mapping here is `powers_of_two: [6, 14]`, perhaps with `step: 2`") from None
        return powers.values()
    if not isinstance(value, list):
        return [value]
    if not value:
        raise ValueError("an axis needs at least one value; give one, or leave out a key that has a default")
    return value


def refuse_boolean(value: Any) -> Any:
    """Pass any value but True and False, which YAML makes of yes, no, on and off."""
    if isinstance(value, bool):
        raise ValueError("a number is wanted here, not a truth value (YAML reads yes, no, on and off as such)")
    return value


def known_shape(value: str) -> str:
    """Pass a known shape's name."""
    if value not in SHAPES:
        raise ValueError(f"not known{nearest(value, SHAPES)} Allowed: {', '.join(SHAPES)}")
    return value


def known_dataset(value: str) -> str:
    """The dataset's full name, `source:name`."""
    name = resolve_dataset(value)
    return f"{name.source}:{name.name}"


class AxisForms:
    """Tells the JSON schema that an axis is one value, a list of them or, for integers, powers of two."""

    def __init__(self, *, powers_of_two: bool) -> None:
        self.powers_of_two = powers_of_two

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        values = handler(core_schema)
        forms = [values["items"], values | {"minItems": 1}]
        if self.powers_of_two:
            forms.append(PowersOfTwo.model_json_schema())
        return {"anyOf": forms}


Axis = Annotated[list[T], AxisForms(powers_of_two=False), BeforeValidator(expand_axis)]
IntegerAxis = Annotated[list[T], AxisForms(powers_of_two=True), BeforeValidator(expand_axis)]

Integer = Annotated[int, Field(strict=True)]
NotBoolean = BeforeValidator(refuse_boolean)
Shape = Annotated[str, AfterValidator(known_shape), Field(json_schema_extra={"enum": list(SHAPES)})]
Dataset = Annotated[str, AfterValidator(known_dataset)]

Size = Annotated[Integer, Field(ge=2**5, le=2**27)]
Depth = Annotated[Integer, Field(ge=2, le=20)]
Count = Annotated[Integer, Field(ge=1)]
BatchSize = Annotated[Integer, Field(ge=1, le=4096)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False), NotBoolean]
Noise = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), NotBoolean]
Penalty = Annotated[float, Field(ge=0, allow_inf_nan=False), NotBoolean]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), NotBoolean]


class Hypercube(Block):
    """Every combination of the values of its axes is an experiment."""

    dataset: Axis[Dataset] = Field(
        description="Names of datasets: `digits`, `bundled:digits`, `pmlb:529_pollen`, `synthetic:classes_1000x8x5`."
    )
    shape: Axis[Shape] = Field(description="How layer widths follow from depth and size.")
    size: IntegerAxis[Size] = Field(
        description="Wanted number of trainable parameters, 2^5 to 2^27.", json_schema_extra={"unit": "parameters"}
    )
    depth: IntegerAxis[Depth] = Field(
        description="Number of dense layers, the output layer included, 2 to 20.", json_schema_extra={"unit": "layers"}
    )
    epochs: IntegerAxis[Count] = Field(
        default=[3000], description="Passes over the training rows.", json_schema_extra={"unit": "epochs"}
    )
    batch_size: IntegerAxis[BatchSize] = Field(
        default=[256], description="Rows of a minibatch.", json_schema_extra={"unit": "rows"}
    )
    learning_rate: Axis[Rate] = Field(default=[1e-4], description="Step size of the optimizer.")
    optimizer: Axis[Optimizer] = Field(default=["adam"], description="Rule that turns gradients into steps.")
    momentum: Axis[Noise] = Field(
        default=[0.0], description="Share of the last step that rmsprop and sgd keep; adam has no such momentum."
    )
    kernel_l1: Axis[Penalty] = Field(default=[0.0], description="Factor of the sum of |kernel weights| in the loss.")
    kernel_l2: Axis[Penalty] = Field(
        default=[0.0], description="Factor of the sum of squared kernel weights in the loss."
    )
    label_noise: Axis[Noise] = Field(
        default=[0.0],
        description="Share of training labels replaced; for regression, noise in units of std(y).",
    )
    precision: Axis[Precision] = Field(
        default=["float32"],
        description="`mixed_bfloat16` computes layers in bfloat16; weights, optimizer, loss and metrics stay float32.",
    )
    hardware: Axis[Hardware] = Field(
        default=["any"],
        description="What trains: `cpu` hides GPUs, `gpu` needs one, `any` takes the node's first GPU if it has one, "
        "else its CPU. A shard is for one of them.",
    )
    test_split: Axis[Share] = Field(default=[0.2], description="Share of the rows kept for testing.")
    repetitions: Count = Field(
        default=1, description="Runs of each experiment, each with its own seed.", json_schema_extra={"unit": "runs"}
    )

    @model_validator(mode="after")
    def _adam_has_no_momentum(self) -> Self:
        if "adam" in self.optimizer and any(self.momentum):
            raise ValueError(
                "optimizer adam has no momentum to set; give adam a hypercube of its own, without `momentum`"
            )
        return self
