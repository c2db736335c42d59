"""Users to write to."""

USER = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


def user(number: int) -> str:
    """Make the UUID of the user of that number."""
    return f"00000000-0000-4000-8000-{number:012x}"
