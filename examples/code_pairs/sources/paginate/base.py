def paginate(items, page, size):
    pages = max(1, (len(items) + size - 1) // size)
    page = min(max(page, 1), pages)
    first = (page - 1) * size
    return {
        "items": items[first : first + size],
        "page": page,
        "pages": pages,
        "previous": page - 1 if page > 1 else None,
        "next": page + 1 if page < pages else None,
    }
