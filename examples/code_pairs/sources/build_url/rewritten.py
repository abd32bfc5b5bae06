from urllib.parse import quote, urlencode


def build_url(base, params):
    present = {key: value for key, value in sorted(params.items()) if value is not None}
    query = urlencode(present, doseq=True, quote_via=quote, safe="")
    if query:
        base = f"{base}&{query}" if "?" in base else f"{base}?{query}"
    return base
