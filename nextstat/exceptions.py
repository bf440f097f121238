"""Exceptions and warnings raised by nextstat."""

__all__ = [
    "DeviceError",
    "FitError",
    "FitWarning",
    "NextstatError",
    "WorkspaceError",
    "WorkspaceWarning",
]


class NextstatError(Exception):
    """Base of every error nextstat raises on purpose; catch it to catch them all."""


_LONGEST = 2000  # characters of a message that quotes documents, whatever they hold


class WorkspaceError(NextstatError, ValueError):
    """Raised when a workspace or patch is rejected; mend the JSON path that the message names."""

    def __init__(self, message: str = "") -> None:
        cut = len(message) > _LONGEST
        super().__init__(f"{message[: _LONGEST - 3]}..." if cut else message)


class FitError(NextstatError, RuntimeError):
    """Raised when a converged fit is needed and there is none; try other inits or bounds."""


class DeviceError(NextstatError, ValueError):
    """Raised when a device is asked for that cannot be used here; choose another, such as "cpu"."""


class FitWarning(UserWarning):
    """Issued when a fit did not converge; read `status` and `message` before using its numbers."""


class WorkspaceWarning(UserWarning):
    """Issued when a valid workspace holds something suspicious; check that it is meant."""
