"""The detector's part of a dataset file: family, budgets, alert budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PositiveInt, Tag, model_validator

from schemas.threshold import BudgetRule, ThresholdRule, wished_share

NAME = r"^[a-z][a-z0-9_]*$"
MOST_CANDIDATES = 16

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
FamilyName = Annotated[str, Field(pattern=NAME)]
Activation = Literal["relu", "silu", "tanh", "elu", "selu", "sigmoid", "linear"]


class Frozen(BaseModel):
    """Settings do not change after they were read, and know each of their keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Candidate(Frozen):
    """A family that is tried beside others, and where it differs from the detector's own settings."""

    family: FamilyName = Field(description="Registered name of the autoencoder family.")
    learning_rate: float | None = Field(None, gt=0, description="As the detector's.")
    hidden: tuple[PositiveInt, ...] | None = Field(None, description="As the detector's.")
    code: PositiveInt | None = Field(None, description="As the detector's.")
    noise: float | None = Field(None, ge=0, description="As the detector's.")
    activation: Activation | None = Field(None, description="As the detector's.")
    loss: str | None = Field(None, description="As the detector's.", pattern=NAME)
    weight_decay: float | None = Field(None, ge=0, description="As the detector's.")
    dropout: Share | None = Field(None, description="As the detector's.")
    batch_norm: bool | None = Field(None, description="As the detector's.")
    options: dict[str, Any] = Field(default_factory=dict, description="The family's own options.")


def _form_of(entry: Any) -> str:
    """Whether an entry is a family's name or says more; so that a mistake is told once, not for each form."""
    return "name" if isinstance(entry, str) else "settings"


Tried = Annotated[Annotated[FamilyName, Tag("name")] | Annotated[Candidate, Tag("settings")], Discriminator(_form_of)]


class DetectorSettings(Frozen):
    """How a dataset's detector is made and how many alerts a person wants to see.

    Rows and epochs are the budget; seconds are only a safety stop, so that a result never depends on the machine's
    speed.
    """

    family: str = Field(
        "auto",
        description="Registered name of the autoencoder family; `detector: NAME` says this alone.",
        pattern=r"^[a-z][a-z0-9_]*$",
    )
    alert_budget: float = Field(20.0, gt=0, description="About how many alerts a night a person wants to look at.")
    threshold: ThresholdRule = Field(
        default_factory=lambda: BudgetRule(method="budget"),
        description="How the threshold comes about: by the alert budget where nothing else is said.",
    )
    window_nights: PositiveInt = Field(28, description="How many accepted nights before tonight train the detector.")
    sample_rows: PositiveInt = Field(
        20_000, description="Rows kept of each night for training: those with the smallest key hash."
    )
    rows: PositiveInt = Field(200_000, description="Most rows that one training uses, over all nights of the window.")
    epochs: PositiveInt | None = Field(
        None, description="Most epochs of one training; the family's where none is given."
    )
    seconds: PositiveInt = Field(1_800, description="Safety stop of one training, in seconds.")
    patience: PositiveInt = Field(12, description="Epochs without a better held-out loss before training stops.")
    batch_size: PositiveInt = Field(512, description="Rows in one gradient step.")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="First step size of Adam, which falls to a twentieth at the last epoch; the family's where none is "
        "given.",
    )
    hidden: tuple[PositiveInt, ...] | None = Field(
        None,
        description="Units of the encoder's hidden layers, mirrored by the decoder; the family's where none are given.",
    )
    code: PositiveInt | None = Field(None, description="Numbers of the code; the family's where none is given.")
    noise: float | None = Field(
        None,
        ge=0,
        description="Scale of the noise on the scaled input; the family's where none is given.",
    )
    activation: Activation | None = Field(
        None, description="Activation of the hidden layers; the family's where none is given."
    )
    loss: str | None = Field(
        None,
        description="Registered name of the reconstruction loss; the family's where none is given.",
        pattern=r"^[a-z][a-z0-9_]*$",
    )
    weight_decay: float | None = Field(
        None, ge=0, description="Decay of the kernels a step, as a share of the step size."
    )
    dropout: Share | None = Field(None, description="Share of hidden values that is dropped while training.")
    batch_norm: bool | None = Field(None, description="Whether hidden layers are normalised over the batch.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="The family's own options; `docs/families.md` lists them."
    )
    warm_start: bool = Field(
        False,
        description="Whether a training starts from the weights of the champion before, where their shape is the same.",
    )
    trim: Share = Field(
        0.005, description="Share of training rows, those that fit worst, that is taken to be contamination."
    )
    unusual_nights: Literal["wait", "teach"] = Field(
        "wait",
        description="Whether nights of the window teach that had unusually many alerts which nobody judged: they wait "
        "for labels, or until such nights are usual.",
    )
    seed: int | None = Field(
        None, description="Seed of this dataset's trainings; the project's seed where none is given."
    )
    promotion: Literal["auto", "manual"] = Field(
        "auto", description="Whether a challenger that passes the gate becomes champion by itself."
    )
    rivals: Literal["report", "may_win", "none"] = Field(
        "report",
        description="What the classical detectors that run beside in the gate are for: `report` says where one finds "
        "more, `may_win` lets it become champion, `none` leaves them out.",
    )
    candidates: tuple[Tried, ...] = Field(
        (),
        max_length=MOST_CANDIDATES,
        description="Families that share the epochs of one training, in place of `family`: the half that finds more "
        "planted anomalies goes on from rung to rung, and the last one is tonight's challenger.",
    )

    @property
    def tried(self) -> tuple[DetectorSettings, ...]:
        """The settings of each candidate, without the candidates; these settings themselves where there are none."""
        if not self.candidates:
            return (self,)
        shared = self.model_dump(exclude={"candidates", "family", "options"})
        entries = [
            {"family": each} if isinstance(each, str) else each.model_dump(exclude_none=True)
            for each in self.candidates
        ]
        return tuple(DetectorSettings.model_validate({**shared, **entry}) for entry in entries)

    @model_validator(mode="after")
    def _candidates_differ(self) -> Self:
        tried = self.tried if self.candidates else ()
        for at, settings in enumerate(tried):
            if settings in tried[:at]:
                raise ValueError(f"candidates[{at}] is the same as another one")
        return self

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return {"family": given} if isinstance(given, str) else given

    def wished_alerts(self, rows: float) -> float:
        """Alerts that a usual night of so many rows shall raise."""
        if isinstance(self.threshold, BudgetRule):
            return self.alert_budget
        return wished_share(self.threshold, self.alert_budget, rows) * rows
