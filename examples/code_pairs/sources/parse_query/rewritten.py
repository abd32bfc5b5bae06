from urllib.parse import parse_qsl


def parse_query(query):
    params = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in params:
            params[key] = [*params[key], value]
        else:
            params[key] = [value]
    return params
