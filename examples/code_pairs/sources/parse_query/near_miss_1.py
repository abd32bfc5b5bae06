from urllib.parse import unquote_plus


def parse_query(query):
    params = {}
    for part in query.split("&"):
        if not part:
            continue
        key, _, value = part.partition("=")
        params[unquote_plus(key)] = [unquote_plus(value)]
    return params
