"""What a study depends on."""

from pydantic import BaseModel, ConfigDict


class Configuration(BaseModel):
    """What a study, or a part of it, depends on beside the seed; a field that it does not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
