def slice_results(rows, wanted, per_page):
    count = max(1, (len(rows) + per_page - 1) // per_page)
    wanted = min(max(wanted, 1), count)
    offset = (wanted - 1) * per_page
    return {
        "items": rows[offset : offset + per_page],
        "page": wanted,
        "pages": count,
        "previous": wanted - 1 if wanted > 1 else None,
        "next": wanted + 1 if wanted < count else None,
    }
