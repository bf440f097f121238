"""The fits behind the statistics of a layer: from which tensors, and from where they start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from nextstat._base.arguments import own_options
from nextstat._base.arrays import Vector
from nextstat._base.warnings import warn
from nextstat._fits.default_bounds import warn_of_bounds
from nextstat._fits.settings import are_chosen, make_problem
from nextstat._gradients.derivatives import Dataset, Fields
from nextstat._gradients.statistics import Statistic
from nextstat._gradients.templates import BindableTemplates
from nextstat._gradients.warm_profile import Memory, WarmProfile
from nextstat._model.histfactory import HistFactoryModel
from nextstat.exceptions import WorkspaceWarning
from nextstat.torch._statistics.dataset import Choice, FitSummary
from nextstat.torch._statistics.evaluate import Array, Outcome, evaluate

Templates: TypeAlias = "Mapping[str, Tensor] | None"

DATA = "data"
NOTHING: Mapping[str, Tensor] = MappingProxyType({})


class LayerFits:
    """A model whose templates are tensors, and what its fits remember from call to call.

    Parameters
    ----------
    templates : BindableTemplates
    bound : mapping of str to Tensor, optional
        Templates of a layer from histograms, used where none are passed; there are no observed
        data then.
    poi : int
        Parameter of interest.
    options : dict
        "init", "fixed", "bounds", "n_starts" and "max_iterations", as for `nextstat.fit`.
    warm_start : bool
        Whether fits start where those of the last call ended.
    """

    def __init__(
        self,
        templates: BindableTemplates,
        bound: Mapping[str, Tensor] | None,
        poi: int,
        options: dict[str, Any],
        warm_start: bool,
    ) -> None:
        self.options = own_options(options)
        make_problem(templates.model, **self.options)
        self.templates = templates
        self.poi = poi
        self._bound = bound
        self._warm_start = warm_start
        self._memories: dict[tuple[str, int], Memory] = {}
        self._profiles: dict[int, WarmProfile] = {}
        self._seen: set[frozenset[str]] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_memories": {}, "_profiles": {}}

    @property
    def last(self) -> list[FitSummary]:
        """Where the fits of the last call ended, for each element of the batch that has them."""
        profiles = [self._profiles[i] for i in sorted(self._profiles)]
        return [FitSummary(p.muhat, p.best, p.conditional) for p in profiles]

    def _inputs(self, templates: Templates) -> dict[str, Tensor]:
        if templates is not None and not isinstance(templates, Mapping):
            raise TypeError(
                f"templates is a {type(templates).__name__}, expected a mapping of names to tensors"
            )
        return {**(self._bound or {}), **(templates or {})}

    def differentiates(self, templates: Templates) -> bool:
        """Whether results follow tensors that require a gradient."""
        inputs = self._inputs(templates).values()
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)

    def evaluate(
        self,
        name: str,
        statistic: Callable[[Dataset, dict[str, Array]], Statistic],
        choice: Choice,
        templates: Templates,
        more: Mapping[str, Tensor] = NOTHING,
        *,
        bounds: tuple[float, float] | None = None,
    ) -> Tensor:
        """Evaluate a statistic of a dataset for each element of the batch, differentiably.

        Parameters
        ----------
        name : str
            Fits start where those of the same name ended.
        statistic : callable
            Of a dataset, and of the other inputs by name.
        choice : Choice
            The dataset.
        templates : mapping of str to Tensor, optional
        more : mapping of str to Tensor
            Other inputs: "params", "mu".
        bounds : (float, float), optional
            The parameter of interest is at least the first, and may reach the second.

        Returns
        -------
        (...) Tensor
        """
        choice.check()
        inputs = self._inputs(templates)
        replaced = [key for key in inputs if key != DATA]
        shapes = {key: self.templates.place(key).shape for key in replaced}
        uses_data = "observed" in choice or "fitted" in choice
        if DATA in inputs:
            if not uses_data:
                raise ValueError(
                    "'data' is passed, but Asimov data at nominal nuisances do not depend on it: "
                    "pass data='observed' or nuisances='fitted' too"
                )
            shapes[DATA] = self._shape_of_data(inputs[DATA])
        elif uses_data and self._bound is not None:
            raise ValueError("there are no observed data: pass them as the template 'data'")
        self._warn_of_what_stays(replaced)
        shapes |= {"params": (len(self.templates.model.parameters),), "mu": ()}
        self._profiles = {}

        def compute(values: dict[str, Array], index: int) -> Outcome:
            key = f"{name} {choice.data}", index
            memory = self._memories.setdefault(key, {}) if self._warm_start else {}
            bound = self.templates.bind({key: values[key] for key in replaced})
            dataset = choice.dataset(self._profile(bound.model, values.get(DATA), memory, bounds))
            value, pull_back = statistic(dataset, values)
            self._profiles[index] = dataset.profile

            def to_inputs(g: Vector) -> Fields:
                fields = dict(pull_back(g))
                if DATA in values and "data" in fields:
                    aux = fields.get("aux", np.zeros(0))
                    if values[DATA].size > len(fields["data"]):  # do not follow the templates
                        fields["aux"] = np.zeros(len(aux))
                        fields["data"] = np.concatenate([fields["data"], aux])
                return {**fields, **bound.pull_back(fields)}

            return value, to_inputs

        found = evaluate(compute, {**inputs, **more}, shapes)
        if name != "limit" or not self.differentiates(templates):
            self._warn_of_bounds(found if name == "limit" else None)
        return found

    def _warn_of_bounds(self, limits: Tensor | None) -> None:
        """Warn of bounds that nobody chose, where they stop fits; of limits, those that count."""
        conditional: list[Vector] = []
        for index, profile in self._profiles.items():
            values = profile.conditional if limits is None else (limits.reshape(-1)[index].item(),)
            conditional += profile.made_at(*values)
        warn_of_bounds(
            self.templates.model,
            self._profiles[0].problem,
            [profile.best for profile in self._profiles.values()],
            conditional,
            but=self.poi,
        )

    def _profile(
        self,
        model: HistFactoryModel,
        data: Array | None,
        memory: Memory,
        bounds: tuple[float, float] | None,
    ) -> WarmProfile:
        problem = make_problem(model, **self.options)
        if bounds is not None:
            problem = problem.at_least(self.poi, bounds[0])
            problem = problem.widen(self.poi, problem.lower[self.poi], bounds[1])
        return WarmProfile(
            model,
            model._data(data),
            problem,
            self.poi,
            memory=memory,
            label="observed",
            free_bounds=not are_chosen(self.options["bounds"], model.parameter_names[self.poi]),
        )

    def _shape_of_data(self, data: Tensor) -> tuple[int, ...]:
        model = self.templates.model
        n, n_aux = model.n_bins, len(model.auxdata)
        return (n + n_aux,) if data.shape[-1:] == (n + n_aux,) else (n,)

    def _warn_of_what_stays(self, replaced: list[str]) -> None:
        """Varied yields that stay behind when nominal ones are replaced are likely forgotten."""
        names = frozenset(replaced)
        if names in self._seen:
            return
        self._seen.add(names)
        kinds = ("/histosys/", "/shapesys/")
        behind = [
            name
            for name in self.templates.places
            if any(name.startswith(key + kind) for key in replaced for kind in kinds)
            and name not in names
        ]
        if behind:
            warn(
                f"nominal yields are replaced, but not what is relative to them: {behind[:3]}"
                f"{' and more' if len(behind) > 3 else ''} stay as in the model; pass them too",
                WorkspaceWarning,
            )
