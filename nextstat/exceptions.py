"""Exceptions and warnings raised by nextstat."""

__all__ = [
    "BoundWarning",
    "DegenerateWarning",
    "DeviceError",
    "EmptyBinWarning",
    "FitError",
    "FitWarning",
    "GradientWarning",
    "InterruptedWarning",
    "LimitWarning",
    "LocalMinimumWarning",
    "NextstatError",
    "NotConvergedWarning",
    "PrecisionWarning",
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
    """Base of the warnings about fits and what is made of them; a filter for it holds for all."""


class NotConvergedWarning(FitWarning):
    """Issued when a fit did not converge; read its status and message before using its numbers."""


class DegenerateWarning(FitWarning):
    """Issued when the data do not determine parameters, as if they were one; fix some of them."""


class LocalMinimumWarning(FitWarning):
    """Issued when the likelihood has several minima, and it matters; try other starting values."""


class BoundWarning(FitWarning):
    """Issued when a bound stops a fit, or was widened so as not to; choose other bounds."""


class EmptyBinWarning(FitWarning):
    """Issued when a bin expects nothing, which makes numbers infinite; give it some background."""


class LimitWarning(FitWarning):
    """Issued when an upper limit does not exist, or its level looks like one minus a level."""


class PrecisionWarning(FitWarning):
    """Issued when few toys, or values far from each other, decide a result; take more of them."""


class InterruptedWarning(FitWarning):
    """Issued when an interruption ended long work early; what is returned is what was done."""


class GradientWarning(FitWarning):
    """Issued when a derivative is zero where a training needs one; look at what it starts from."""


class WorkspaceWarning(UserWarning):
    """Issued when a valid workspace holds something suspicious; check that it is meant."""
