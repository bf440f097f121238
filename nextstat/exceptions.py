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


class WorkspaceError(NextstatError, ValueError):
    """Raised when a workspace or patch is rejected; mend the JSON path that the message names."""


class FitError(NextstatError, RuntimeError):
    """Raised when a converged fit is needed and there is none; try other inits or bounds."""


class DeviceError(NextstatError, ValueError):
    """Raised when a device is asked for that cannot be used here; choose another, such as "cpu"."""


class FitWarning(UserWarning):
    """Issued when a fit did not converge; read `status` and `message` before using its numbers."""


class WorkspaceWarning(UserWarning):
    """Issued when a valid workspace holds something suspicious; check that it is meant."""
