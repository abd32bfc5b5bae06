from urllib.parse import unquote


def decode_form(body):
    fields = {}
    for chunk in body.split("&"):
        if not chunk:
            continue
        name, _, content = chunk.partition("=")
        fields.setdefault(unquote(name), []).append(unquote(content))
    return fields
