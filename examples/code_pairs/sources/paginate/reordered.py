def paginate(items, page, size):
    pages = max((size - 1 + len(items)) // size, 1)
    page = max(min(page, pages), 1)
    following = page + 1 if page < pages else None
    preceding = page - 1 if page > 1 else None
    end = page * size
    return {
        "next": following,
        "previous": preceding,
        "pages": pages,
        "page": page,
        "items": items[end - size : end],
    }
