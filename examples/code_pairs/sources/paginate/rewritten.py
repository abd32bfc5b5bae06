def paginate(items, page, size):
    chunks = [items[i : i + size] for i in range(0, len(items), size)] or [[]]
    last = len(chunks)
    if page < 1:
        page = 1
    if page > last:
        page = last
    result = dict(items=chunks[page - 1], page=page, pages=last, previous=None, next=None)
    if page != 1:
        result["previous"] = page - 1
    if page != last:
        result["next"] = page + 1
    return result
