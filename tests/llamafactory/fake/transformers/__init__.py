"""The names that `generate` is watched by."""


class StoppingCriteria:
    pass


class LogitsProcessor:
    pass


StoppingCriteriaList = LogitsProcessorList = list
