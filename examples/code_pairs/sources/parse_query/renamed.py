from urllib.parse import unquote_plus


def decode_form(body):
    fields = {}
    for chunk in body.split("&"):
        if not chunk:
            continue
        name, _, content = chunk.partition("=")
        fields.setdefault(unquote_plus(name), []).append(unquote_plus(content))
    return fields
