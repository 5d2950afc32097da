"""The detector's part of a dataset file: family, budgets, alert budget."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class Frozen(BaseModel):
    """Settings do not change after they were read, and know each of their keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DetectorSettings(Frozen):
    """How a dataset's detector is made and how many alerts a person wants to see.

    Rows and epochs are the budget; seconds are only a safety stop, so that a result never depends on the machine's
    speed.
    """

    family: str = Field(
        "dense_denoising", description="Registered name of the autoencoder family.", pattern=r"^[a-z][a-z0-9_]*$"
    )
    alert_budget: float = Field(20.0, gt=0, description="About how many alerts a night a person wants to look at.")
    window_nights: PositiveInt = Field(28, description="How many accepted nights before tonight train the detector.")
    sample_rows: PositiveInt = Field(
        20_000, description="Rows kept of each night for training: those with the smallest key hash."
    )
    rows: PositiveInt = Field(200_000, description="Most rows that one training uses, over all nights of the window.")
    epochs: PositiveInt = Field(80, description="Most epochs of one training.")
    seconds: PositiveInt = Field(1_800, description="Safety stop of one training, in seconds.")
    patience: PositiveInt = Field(12, description="Epochs without a better held-out loss before training stops.")
    batch_size: PositiveInt = Field(512, description="Rows in one gradient step.")
    learning_rate: float = Field(
        2e-3, gt=0, description="First step size of Adam; it falls to a twentieth at the last epoch."
    )
    hidden: tuple[PositiveInt, ...] = Field(
        (256,), description="Units of the encoder's hidden layers; the decoder mirrors them."
    )
    code: PositiveInt = Field(48, description="Units of the code layer.")
    noise: float = Field(0.4, ge=0, description="Standard deviation of the Gaussian noise added to the scaled input.")
    activation: Literal["relu", "silu", "tanh", "elu", "selu"] = Field(
        "silu", description="Activation of the hidden layers."
    )
    trim: Share = Field(
        0.005, description="Share of training rows, those that fit worst, that is taken to be contamination."
    )
    seed: int | None = Field(
        None, description="Seed of this dataset's trainings; the project's seed where none is given."
    )
    promotion: Literal["auto", "manual"] = Field(
        "auto", description="Whether a challenger that passes the gate becomes champion by itself."
    )
