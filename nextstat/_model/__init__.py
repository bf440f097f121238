"""The model: from a checked workspace to parameters, arrays and `HistFactoryModel`."""
