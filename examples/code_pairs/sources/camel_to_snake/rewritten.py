import re


def camel_to_snake(name):
    step = re.sub(r"([A-Za-z])(?<!_)([A-Z][a-z])", r"\1_\2", name)
    step = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", step)
    return step.lower()
