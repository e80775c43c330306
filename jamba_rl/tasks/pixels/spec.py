"""What a task's YAML may say of its images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jamba_rl.catalogue import Data

# SB3 takes the smallest of three dimensions for the channels; more than the upper end is nothing for a CPU.
Side = Annotated[int, Field(ge=4, le=512)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class View(Data):
    """Where a camera stands that the model does not have; what is left out is as in the env's own pictures.

    ``distance`` is from the point it looks at, ``lookat``, in metres; ``azimuth`` and ``elevation`` are degrees.
    ``follow`` names a body that it goes along with, in place of ``lookat``.
    """

    distance: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    azimuth: Number | None = None
    elevation: Number | None = None
    lookat: tuple[Number, Number, Number] | None = None
    follow: str | None = None


class Pixels(Data):
    """Images of ``height`` x ``width`` pixels in place of all that a MuJoCo env measures.

    They are bytes (height, width, 3), or (height, width, 1) if ``grey``. ``camera`` is one of the model's, by name;
    else ``view`` says where one stands.
    """

    height: Side
    width: Side
    grey: bool = False
    camera: str | None = None
    view: View = View()
